// Logs: "cache cannot be read" (error, once an hour), "commit failed" and "commits work again"
// (error and warn, once each way), "record dropped" (warn), "cache full" (warn, when policies that
// are enforced had to go). What becomes of the file as a whole: environments.cc.
//
// Known limit: a file that somebody else writes into while it is open can end the process (it is
// mapped). One that is cut short does not.

#include "mtastsd/cache/lmdb_store.h"

#include <lmdb.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "due_selection.h"
#include "environments.h"
#include "eviction.h"
#include "lmdb/env.h"
#include "lmdb/tables.h"
#include "mtastsd/log/log.h"
#include "pending.h"

namespace mtastsd::cache {
namespace {

using std::chrono::steady_clock;

// The map is larger than max_size so that the deletes that make room have pages to work with.
constexpr std::size_t map_size_for(std::size_t max_size) {
  return max_size + max_size / 4 + (std::size_t{16} << 20);
}

constexpr std::size_t kMaxBatch = 2000;
constexpr std::size_t kMaxBatchBytes = std::size_t{2} << 20;  // the map has room for many of them
constexpr std::size_t kDueWindow = 100000;
constexpr std::size_t kEvictAtOnce = 20000;
constexpr std::uint64_t kReaderCheckEvery = 100;
constexpr Milliseconds kCommitSpacing{200};
constexpr Milliseconds kRetrySpacing{2000};
constexpr Milliseconds kDrainLimit{5000};
constexpr std::chrono::minutes kReadErrorHolds{10};  // longer than finding out takes
constexpr std::chrono::hours kReadErrorLogged{1};

const SystemClock kSystemClock;

}  // namespace

// --- opening and closing ----------------------------------------------------------------------

LmdbStore::LmdbStore(const StoreOptions& options, Log& log)
    : options_(options),
      clock_(options.clock != nullptr ? *options.clock : kSystemClock),
      log_(log),
      environments_(
          std::make_unique<Environments>(options.directory, map_size_for(options.max_size), log)),
      pending_(std::make_unique<Pending>()) {}

Result<std::unique_ptr<LmdbStore>, std::string> LmdbStore::open(const StoreOptions& options,
                                                                Log& log) {
  auto self = std::unique_ptr<LmdbStore>(new LmdbStore(options, log));
  if (auto opened = self->environments_->open(); !opened) {
    return failure(std::move(opened.error()));
  }
  self->reader_ = self->make_reader();
  if (options.commit == StoreOptions::Commit::InBackground) {
    self->writer_ = std::thread([store = self.get()] { store->write_loop(); });
  }
  return self;
}

LmdbStore::~LmdbStore() {
  if (!writer_.joinable()) {
    return;
  }
  if (writable()) {
    flush(kDrainLimit);
  }
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

std::unique_ptr<Reader> LmdbStore::make_reader() const {
  return std::make_unique<Reader>(environments_->current(), *pending_);
}

LmdbEnv& LmdbStore::env() const {
  return *environments_->in_use();
}

bool LmdbStore::writable() const {
  return environments_->writable();
}

// --- the resolver's side ----------------------------------------------------------------------

EntryPtr LmdbStore::find(const DomainName& domain) {
  Reader::Snapshot snapshot(*reader_);
  const auto view = snapshot.find(domain);
  if (snapshot.failed()) {
    note_read_error();
  }
  if (!view && !snapshot.damaged()) {
    return nullptr;
  }
  auto entry = view ? view->entry() : failure(*snapshot.damaged());
  if (!entry) {
    log_.write(Event::RecordUnreadable,
               {{"domain", domain.view()}, {"reason", to_string(entry.error())}});
    erase(domain);
    return nullptr;
  }
  return std::move(*entry);
}

void LmdbStore::note_read_error() {
  const SteadyTime now = clock_.steady();
  if (last_read_error_ == SteadyTime{} || now - last_read_error_ > kReadErrorLogged) {
    log_.write(Event::CacheReadFailed, {{"directory", options_.directory}});
  }
  last_read_error_ = now;
}

void LmdbStore::put(const DomainName& domain, Entry entry) {
  const bool blind =
      last_read_error_ != SteadyTime{} && clock_.steady() - last_read_error_ < kReadErrorHolds;
  remember(domain, std::make_shared<const Entry>(std::move(entry)),
           blind ? Origin::Blind : Origin::Resolver);
}

void LmdbStore::erase(const DomainName& domain) {
  remember(domain, nullptr, Origin::Resolver);
}

void LmdbStore::remember(const DomainName& domain, EntryPtr entry, Origin origin) {
  const bool first = pending_->empty();
  if (!pending_->put(domain, std::move(entry), origin)) {
    counters_.not_kept.add();
  } else if (first) {
    // The writer looks for more by itself as long as something waits.
    const std::lock_guard lock(mutex_);
    wake_.notify_one();
  }
}

std::vector<DomainName> LmdbStore::due(const DueRequest& request) {
  if (!pending_->has_room_to_refresh()) {
    return {};
  }
  DueSelection selection(request.max);
  select_due_in_memory(request, selection);
  select_due_on_disk(request, selection);
  std::vector<DomainName> domains;
  Reader::Snapshot snapshot(*reader_);
  for (const DueSelection::Candidate& candidate : selection.take()) {
    const auto view = snapshot.find(candidate.domain);
    const bool holds = !candidate.on_disk ||
                       (view && view->facts().has_policy && view->due_at() == candidate.due_at);
    if (holds) {
      domains.push_back(candidate.domain);
    } else if (!snapshot.failed()) {
      forget_index(index_key(candidate.due_at, candidate.domain));
    }
  }
  return domains;
}

// The index has both ends in reach: what is due at its beginning, and what is due later than
// can be at its end.
void LmdbStore::select_due_on_disk(const DueRequest& request, DueSelection& selection) {
  MDB_txn* const txn = reader_->begin();
  if (txn == nullptr || reader_->env_->shortened()) {
    return;
  }
  const LmdbEnv& env = *reader_->env_;
  const Cursor cursor = open_cursor(txn, env.due());
  MDB_val key;
  MDB_val value;
  for (const MDB_cursor_op start : {MDB_FIRST, MDB_LAST}) {
    const bool forward = start == MDB_FIRST;
    int rc = cursor ? mdb_cursor_get(cursor.get(), &key, &value, start) : MDB_NOTFOUND;
    for (std::size_t seen = 0; rc == 0 && seen < kDueWindow && !env.lost_pages(); ++seen) {
      const std::string_view bytes = from_val(key);
      const WallTime due_at = index_time(bytes);
      if (forward ? due_at > request.now : due_at <= request.farthest) {
        break;
      }
      consider_due(request, bytes, index_time(from_val(value)), selection);
      rc = mdb_cursor_get(cursor.get(), &key, &value, forward ? MDB_NEXT : MDB_PREV);
    }
  }
}

void LmdbStore::consider_due(const DueRequest& request, std::string_view key, WallTime expires_at,
                             DueSelection& selection) {
  if (!selection.wants(expires_at)) {
    return;
  }
  const auto domain = DomainName::parse(key.size() < 8 ? key : key.substr(8));
  if (!domain) {
    forget_index(key);
    return;
  }
  // What waits for its commit has been looked at in memory.
  if (!pending_->find(*domain) && !(request.busy && request.busy(*domain))) {
    selection.add({*domain, index_time(key), expires_at, true});
  }
}

// Policies that wait for their commit: few, unless the disk cannot be written.
void LmdbStore::select_due_in_memory(const DueRequest& request, DueSelection& selection) {
  pending_->each([&](const DomainName& domain, const Change& change) {
    if (!change.entry || !change.entry->policy) {
      return;
    }
    const WallTime due_at = change.entry->due_at;
    const WallTime expires_at = change.entry->policy->expires_at();
    if ((due_at <= request.now || due_at > request.farthest) && selection.wants(expires_at) &&
        !(request.busy && request.busy(domain))) {
      selection.add({domain, due_at, expires_at, false});
    }
  });
}

// An index key whose record is gone or damaged would come up as due for ever.
void LmdbStore::forget_index(std::string_view key) {
  if (key.empty()) {
    return;  // of a page that is gone
  }
  const std::lock_guard lock(mutex_);
  if (stale_index_.size() < kMaxBatch) {
    stale_index_.emplace_back(key);
    wake_.notify_one();
  }
}

CacheTotals LmdbStore::totals() const {
  const LmdbEnv* env = environments_->current();
  if (env == nullptr) {
    return {};
  }
  const auto txn = Txn::begin(env->env(), MDB_RDONLY);
  return txn ? env->totals(txn->get()) : CacheTotals{};
}

std::size_t LmdbStore::pending() const {
  return pending_->size();
}

bool LmdbStore::has_room() const {
  return pending_->has_room();
}

bool LmdbStore::flush(Milliseconds limit) {
  std::unique_lock lock(mutex_);
  const std::uint64_t failed_before = failed_attempts_;
  wake_.notify_one();
  drained_.wait_for(lock, limit,
                    [&] { return pending_->empty() || failed_attempts_ != failed_before; });
  return pending_->empty();
}

// --- the writer's side ------------------------------------------------------------------------

// With mutex_ held.
bool LmdbStore::has_work() const {
  return environments_->writable() && (!pending_->empty() || !stale_index_.empty());
}

void LmdbStore::write_loop() {
  auto next_commit = steady_clock::now();
  auto next_mend = next_commit + options_.mend_spacing;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, next_mend, [&] { return stop_ || has_work(); });
      if (has_work()) {
        wake_.wait_until(lock, next_commit, [&] { return stop_; });
      }
      if (stop_) {
        return;
      }
    }
    if (steady_clock::now() >= next_mend) {
      if (environments_->mend()) {
        next_commit =
            steady_clock::now() + kCommitSpacing;  // readers have left the old one by then
      }
      next_mend = steady_clock::now() + options_.mend_spacing;
    } else if (steady_clock::now() >= next_commit) {
      const bool good = write_batch();
      next_commit = steady_clock::now() + (good ? kCommitSpacing : kRetrySpacing);
      if (environments_->damaged()) {
        next_mend = steady_clock::now();
      }
    }
  }
}

// What one transaction does.
struct LmdbStore::Work {
  std::vector<Pending::Item> batch;
  std::vector<std::string> stale_index;
  std::vector<bool> skipped;  // of batch: the committed record counts
};

bool LmdbStore::write_batch() {
  Work work{pending_->batch(kMaxBatch, kMaxBatchBytes), take_stale_index(), {}};
  int rc = commit(work);
  if (rc == MDB_MAP_FULL && make_room_on_disk() == 0) {
    rc = commit(work);
  }
  // LMDB says many things of pages that are gone.
  rc = rc != 0 && env().lost_pages() ? MDB_CORRUPTED : rc;
  note_commit_result(rc, work.batch.size());
  if (rc == 0) {
    finish(work);
  }
  return rc == 0;
}

bool LmdbStore::commit_now() {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (pending_->empty() && stale_index_.empty()) {
        return true;
      }
    }
    if (!writable() || !write_batch()) {
      return false;
    }
  }
}

// In a transaction of its own: the pages that it frees are there for the next one.
int LmdbStore::make_room_on_disk() {
  auto txn = Txn::begin(env().env(), 0);
  if (!txn) {
    return txn.error();
  }
  const std::size_t used = env().used_bytes(txn->get());
  if (const int rc = evict(txn->get(), used - used / 10); rc != 0) {
    return rc;
  }
  return finish_transaction(*txn);
}

// What was changed around pages that are gone must not be written.
int LmdbStore::finish_transaction(Txn& txn) {
  const int rc = env().lost_pages() ? MDB_CORRUPTED : txn.commit();
  if (rc == 0) {
    env().fill_up();
  }
  return rc;
}

std::vector<std::string> LmdbStore::take_stale_index() {
  const std::lock_guard lock(mutex_);
  return std::exchange(stale_index_, {});
}

int LmdbStore::commit(Work& work) {
  if (env().shortened()) {
    return MDB_CORRUPTED;
  }
  auto txn = Txn::begin(env().env(), 0);
  if (!txn) {
    return txn.error();
  }
  work.skipped.assign(work.batch.size(), false);
  for (std::size_t i = 0; i < work.batch.size(); ++i) {
    if (const int rc = apply(txn->get(), work, i); rc != 0) {
      return rc;
    }
  }
  for (const std::string& index_entry : work.stale_index) {
    MDB_val key = to_val(index_entry);
    if (const int rc = mdb_del(txn->get(), env().due(), &key, nullptr);
        rc != 0 && rc != MDB_NOTFOUND) {
      return rc;
    }
  }
  if (const int rc = trim(txn->get()); rc != 0) {
    return rc;
  }
  return finish_transaction(*txn);
}

int LmdbStore::apply(MDB_txn* txn, Work& work, std::size_t number) {
  const auto& [domain, change] = work.batch[number];
  if (change.origin != Origin::Resolver) {
    MDB_val key = to_val(domain.view());
    MDB_val value;
    if (mdb_get(txn, env().entries(), &key, &value) == 0) {
      const auto old = RecordView::decode(from_val(value));
      if (old && !replaces(change, old->facts())) {
        work.skipped[number] = true;
        return 0;
      }
    }
  }
  return write_record(env(), txn, domain, change.entry ? encode(*change.entry) : std::string());
}

// Keeps "no policy" results within their number and the file within its size.
int LmdbStore::trim(MDB_txn* txn) {
  MDB_stat stat;
  if (const int rc = mdb_stat(txn, env().negative(), &stat); rc != 0) {
    return rc;
  }
  const std::size_t surplus =
      stat.ms_entries > options_.max_negative ? stat.ms_entries - options_.max_negative : 0;
  if (const int rc = drop_negative(txn, surplus); rc != 0) {
    return rc;
  }
  // Down to a little below, so that not every commit has to look for victims.
  const std::size_t target = options_.max_size - options_.max_size / 20;
  for (std::size_t used = env().used_bytes(txn); used > options_.max_size;) {
    if (const int rc = evict(txn, target); rc != 0) {
      return rc;
    }
    const std::size_t left = env().used_bytes(txn);
    if (left >= used) {
      break;  // nothing more to be had
    }
    used = left;
  }
  return 0;
}

int LmdbStore::drop_negative(MDB_txn* txn, std::size_t count) {
  const Cursor cursor = open_cursor(txn, env().negative());
  MDB_val key;
  MDB_val value;
  while (count-- > 0 && cursor && mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST) == 0) {
    MDB_val domain = to_val(from_val(key).substr(8));
    MDB_val record;
    const bool there = mdb_get(txn, env().entries(), &domain, &record) == 0;
    const auto view =
        there ? RecordView::decode(from_val(record)) : failure(RecordError::Malformed);
    // The key may be left over from a record that could not be read.
    if (view && !view->facts().has_policy &&
        view->facts().recheck_at == index_time(from_val(key))) {
      if (const int rc = mdb_del(txn, env().entries(), &domain, nullptr); rc != 0) {
        return rc;
      }
    }
    if (const int removed = mdb_cursor_del(cursor.get(), 0); removed != 0) {
      return removed;
    }
    counters_.evicted.add();
  }
  return 0;
}

// Looks at all records, and drops the least valuable until `target` bytes are in use.
int LmdbStore::evict(MDB_txn* txn, std::size_t target) {
  const WallTime now = clock_.wall();
  Victims victims(kEvictAtOnce);
  {
    const Cursor cursor = open_cursor(txn, env().entries());
    MDB_val key;
    MDB_val value;
    for (int rc = cursor ? mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST) : MDB_NOTFOUND;
         rc == 0; rc = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) {
      const auto domain = DomainName::parse(from_val(key));
      const auto record = RecordView::decode(from_val(value));
      if (domain) {
        victims.consider(*domain, record ? record->facts() : EntryFacts{}, now);
      }
    }
  }
  std::size_t enforced = 0;
  for (const Victims::Victim& victim : victims.take()) {
    if (env().used_bytes(txn) <= target) {
      break;
    }
    if (const int rc = write_record(env(), txn, victim.domain, {}); rc != 0) {
      return rc;
    }
    counters_.evicted.add();
    enforced += victim.worth == Worth::Enforced ? 1 : 0;
  }
  if (enforced > 0) {
    log_.write(Event::CacheFull, {{"dropped", enforced}, {"max_size", options_.max_size}});
  }
  return 0;
}

void LmdbStore::finish(const Work& work) {
  for (std::size_t i = 0; i < work.batch.size(); ++i) {
    pending_->committed(work.batch[i], work.skipped[i]);
  }
  const std::lock_guard lock(mutex_);
  drained_.notify_all();
}

void LmdbStore::note_commit_result(int rc, std::size_t changes) {
  if (rc == 0) {
    counters_.commits.add();
    if (counters_.commits.value() % kReaderCheckEvery == 0) {
      int dead = 0;
      mdb_reader_check(env().env(), &dead);  // a killed reader of another process pins pages
    }
    if (failing_) {
      log_.write(Event::CommitsRecovered, {{"directory", options_.directory}});
    }
    failing_ = false;
    return;
  }
  counters_.failed_commits.add();
  if (!failing_) {
    log_.write(
        Event::CommitFailed,
        {{"directory", options_.directory}, {"reason", mdb_strerror(rc)}, {"pending", changes}});
  }
  failing_ = true;
  if (rc == MDB_PANIC) {
    environments_->give_up_writing();
  }
  if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_CURSOR_FULL) {
    environments_->set_damaged();
  }
  const std::lock_guard lock(mutex_);
  ++failed_attempts_;
  drained_.notify_all();
}

}  // namespace mtastsd::cache
