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
#include "lmdb_env.h"
#include "mtastsd/log/log.h"
#include "tables.h"

namespace mtastsd::cache {
namespace {

using std::chrono::steady_clock;

// The map is larger than max_size so that the deletes that make room have pages to work with.
constexpr std::size_t map_size_for(std::size_t max_size) {
  return max_size + max_size / 4 + (std::size_t{16} << 20);
}

constexpr std::size_t kMaxBatch = 2000;
constexpr std::size_t kMaxBatchBytes = std::size_t{2} << 20;  // the map has room for many of them
constexpr std::size_t kMaxPending = 30000;
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
          std::make_unique<Environments>(options.directory, map_size_for(options.max_size), log)) {}

Result<std::unique_ptr<LmdbStore>, std::string> LmdbStore::open(const StoreOptions& options,
                                                                Log& log) {
  auto self = std::unique_ptr<LmdbStore>(new LmdbStore(options, log));
  if (auto opened = self->environments_->open(); !opened) {
    return failure(std::move(opened.error()));
  }
  self->reader_ = self->make_reader();
  if (options.background_writer) {
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
  return std::make_unique<Reader>(environments_->current());
}

LmdbEnv& LmdbStore::env() const {
  return *environments_->in_use();
}

bool LmdbStore::writable() const {
  return environments_->writable();
}

// --- the resolver's side ----------------------------------------------------------------------

std::optional<std::string> LmdbStore::waiting_record(const DomainName& domain) const {
  const std::lock_guard lock(mutex_);
  const auto it = pending_.find(domain);
  // See apply().
  if (it == pending_.end() || (it->second.negative && it->second.unread)) {
    return std::nullopt;
  }
  return it->second.record;
}

std::optional<Entry> LmdbStore::find(const DomainName& domain) {
  std::string record;
  bool pending = false;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = pending_.find(domain); it != pending_.end()) {
      record = it->second.record;
      pending = true;
    }
  }
  Result<Entry, RecordError> entry = failure(RecordError::Truncated);
  if (pending) {
    if (record.empty()) {
      return std::nullopt;
    }
    entry = decode_entry(record);
  } else {
    Reader::Snapshot snapshot(*reader_);
    const std::string_view committed = snapshot.find(domain);
    if (committed.empty()) {
      if (snapshot.failed()) {
        note_read_error();
      }
      return std::nullopt;
    }
    entry = decode_entry(committed);
  }
  if (!entry) {
    log_.write(Event::RecordUnreadable,
               {{"domain", domain.view()}, {"reason", to_string(entry.error())}});
    erase(domain);
    return std::nullopt;
  }
  return std::move(*entry);
}

void LmdbStore::note_read_error() {
  const SteadyTime now = clock_.steady();
  if (last_read_error_ == SteadyTime{} || now - last_read_error_ > kReadErrorLogged) {
    log_.write(Event::CacheReadFailed, {{"directory", options_.directory}});
  }
  counters_.read_errors.add();
  last_read_error_ = now;
}

void LmdbStore::put(const DomainName& domain, const Entry& entry) {
  const bool unread =
      last_read_error_ != SteadyTime{} && clock_.steady() - last_read_error_ < kReadErrorHolds;
  remember(domain, {encode(entry), !entry.policy.has_value(), unread, 0});
}

void LmdbStore::erase(const DomainName& domain) {
  remember(domain, {std::string(), false, false, 0});
}

void LmdbStore::remember(const DomainName& domain, Pending pending) {
  const std::lock_guard lock(mutex_);
  const bool first = pending_.empty();
  const auto it = pending_.find(domain);
  if (it == pending_.end()) {
    if (pending_.size() >= kMaxPending && !make_room_in_memory()) {
      counters_.not_kept.add();
      return;
    }
    unsaved_.add(domain);
  } else {
    pending_negative_ -= it->second.negative ? 1 : 0;
  }
  pending_negative_ += pending.negative ? 1 : 0;
  pending.sequence = ++sequence_;
  pending_.insert_or_assign(domain, std::move(pending));
  // The writer looks for more by itself as long as something is pending.
  if (first) {
    wake_.notify_one();
  }
}

// With mutex_ held: a "no policy" result that waits gives way to anything new.
bool LmdbStore::make_room_in_memory() {
  if (pending_negative_ == 0) {
    return false;
  }
  const auto victim = std::find_if(pending_.begin(), pending_.end(),
                                   [](const auto& item) { return item.second.negative; });
  unsaved_.remove(victim->first);
  pending_.erase(victim);
  --pending_negative_;
  return true;
}

std::vector<DomainName> LmdbStore::due(const DueRequest& request) {
  DueSelection selection(request.max);
  std::vector<DomainName> domains;
  if (!select_due_in_memory(request, selection)) {
    return domains;
  }
  Reader::Snapshot snapshot(*reader_);
  if (snapshot.txn_ != nullptr) {
    select_due_on_disk(request, snapshot, selection);
  }
  for (const DueSelection::Candidate& candidate : selection.take()) {
    if (!candidate.on_disk) {
      domains.push_back(candidate.domain);
      continue;
    }
    const auto record = RecordView::decode(snapshot.find(candidate.domain));
    if (record && record->facts().has_policy && record->due_at() == candidate.due_at) {
      domains.push_back(candidate.domain);
    } else if (!snapshot.failed()) {
      forget_index(index_key(candidate.due_at, candidate.domain));
    }
  }
  return domains;
}

// The index has both ends in reach: what is due at its beginning, and what is due later than
// can be at its end.
void LmdbStore::select_due_on_disk(const DueRequest& request, const Reader::Snapshot& snapshot,
                                   DueSelection& selection) {
  // Where a branch of the tree is gone, LMDB's way from leaf to leaf ends the process.
  if (snapshot.env_->shortened()) {
    return;
  }
  const Cursor cursor = open_cursor(snapshot.txn_, snapshot.env_->due());
  MDB_val key;
  MDB_val value;
  for (const MDB_cursor_op start : {MDB_FIRST, MDB_LAST}) {
    const bool forward = start == MDB_FIRST;
    int rc = cursor ? mdb_cursor_get(cursor.get(), &key, &value, start) : MDB_NOTFOUND;
    for (std::size_t seen = 0; rc == 0 && seen < kDueWindow && !snapshot.env_->lost_pages();
         ++seen) {
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
  if (!is_pending(*domain) && !(request.busy && request.busy(*domain))) {
    selection.add({*domain, index_time(key), expires_at, true});
  }
}

// Policies that wait for their commit: few, unless the disk cannot be written. False if there
// are too many.
bool LmdbStore::select_due_in_memory(const DueRequest& request, DueSelection& selection) {
  const std::lock_guard lock(mutex_);
  if (pending_.size() - pending_negative_ > kMaxPending - kMaxPending / 10) {
    return false;
  }
  for (const auto& [domain, pending] : pending_) {
    const auto record = RecordView::decode(pending.record);
    if (!record || !record->facts().has_policy ||
        (record->due_at() > request.now && record->due_at() <= request.farthest)) {
      continue;
    }
    const WallTime expires_at = record->facts().fetched_at + record->facts().max_age;
    if (selection.wants(expires_at) && !(request.busy && request.busy(domain))) {
      selection.add({domain, record->due_at(), expires_at, false});
    }
  }
  return true;
}

bool LmdbStore::is_pending(const DomainName& domain) {
  if (!unsaved_.may_hold(domain)) {
    return false;
  }
  const std::lock_guard lock(mutex_);
  return pending_.contains(domain);
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
  const std::lock_guard lock(mutex_);
  return pending_.size();
}

bool LmdbStore::has_room() const {
  return pending() < kMaxPending / 2;
}

bool LmdbStore::flush(Milliseconds limit) {
  std::unique_lock lock(mutex_);
  const std::uint64_t failed_before = failed_attempts_;
  wake_.notify_one();
  drained_.wait_for(lock, limit,
                    [&] { return pending_.empty() || failed_attempts_ != failed_before; });
  return pending_.empty();
}

// --- the writer's side ------------------------------------------------------------------------

// With mutex_ held.
bool LmdbStore::has_work() const {
  return environments_->writable() && (!pending_.empty() || !stale_index_.empty());
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

bool LmdbStore::write_batch() {
  const std::vector<Change> batch = take_batch();
  const std::vector<std::string> stale_index = take_stale_index();
  int rc = commit(batch, stale_index);
  if (rc == MDB_MAP_FULL && make_room_on_disk() == 0) {
    rc = commit(batch, stale_index);
  }
  // LMDB says many things of pages that are gone.
  rc = rc != 0 && env().lost_pages() ? MDB_CORRUPTED : rc;
  note_commit_result(rc, batch.size());
  if (rc == 0) {
    finish(batch);
  }
  return rc == 0;
}

bool LmdbStore::commit_now() {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (pending_.empty() && stale_index_.empty()) {
        return true;
      }
    }
    if (!writable() || !write_batch()) {
      return false;
    }
  }
}

std::vector<LmdbStore::Change> LmdbStore::take_batch() {
  std::vector<Change> batch;
  const std::lock_guard lock(mutex_);
  batch.reserve(std::min(pending_.size(), kMaxBatch));
  std::size_t bytes = 0;
  for (const auto& [domain, pending] : pending_) {
    if (batch.size() == kMaxBatch || bytes > kMaxBatchBytes) {
      break;
    }
    bytes += pending.record.size();
    batch.push_back({domain, pending});
  }
  return batch;
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

int LmdbStore::commit(const std::vector<Change>& batch,
                      const std::vector<std::string>& stale_index) {
  if (env().shortened()) {
    return MDB_CORRUPTED;
  }
  auto txn = Txn::begin(env().env(), 0);
  if (!txn) {
    return txn.error();
  }
  for (const Change& change : batch) {
    if (const int rc = apply(txn->get(), change); rc != 0) {
      return rc;
    }
  }
  for (const std::string& index_entry : stale_index) {
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

// A "no policy" result that was found out while the cache could not be read does not replace a
// policy that is in force.
int LmdbStore::apply(MDB_txn* txn, const Change& change) {
  if (change.pending.negative && change.pending.unread) {
    MDB_val key = to_val(change.domain.view());
    MDB_val value;
    if (mdb_get(txn, env().entries(), &key, &value) == 0) {
      const auto old = RecordView::decode(from_val(value));
      if (old && old->facts().has_policy &&
          clock_.wall() < old->facts().fetched_at + old->facts().max_age) {
        return 0;
      }
    }
  }
  return write_record(env(), txn, change.domain, change.pending.record);
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

void LmdbStore::finish(const std::vector<Change>& batch) {
  const std::lock_guard lock(mutex_);
  for (const Change& change : batch) {
    const auto it = pending_.find(change.domain);
    if (it != pending_.end() && it->second.sequence == change.pending.sequence) {
      pending_negative_ -= it->second.negative ? 1 : 0;
      pending_.erase(it);
      unsaved_.remove(change.domain);
    }
  }
  if (pending_.empty()) {
    drained_.notify_all();
  }
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
