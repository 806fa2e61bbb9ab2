// Logs: cache_read_failed (once an hour), commit_failed and commits_recovered (once each way),
// record_unreadable, overrides_salvaged, cache_set_aside (when the records of a damaged file are
// all stored). What becomes of the file as a whole: lmdb/cache_file.cc.

#include "mtastsd/cache/lmdb_store.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "lmdb/cache_file.h"
#include "lmdb/pages.h"
#include "lmdb/tables.h"
#include "lmdb/writer.h"
#include "lowest.h"
#include "mtastsd/log/log.h"
#include "pending.h"
#include "salvage.h"

namespace mtastsd::cache {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kMaxBatch = 2000;
constexpr std::size_t kMaxBatchBytes = std::size_t{2} << 20;  // the map has room for many of them
constexpr std::size_t kMaxStaleIndex = 2000;
constexpr std::size_t kDueWindow = 100000;
constexpr Milliseconds kCommitSpacing{200};
constexpr Milliseconds kRetrySpacing{2000};
constexpr Milliseconds kDrainLimit{5000};
constexpr Milliseconds kSalvageWait{2000};  // at the start; then answering begins
constexpr std::size_t kMaxSalvagedNoteBytes = std::size_t{1} << 20;
constexpr std::chrono::minutes kReadErrorHolds{10};  // longer than finding out takes
constexpr std::chrono::hours kReadErrorLogged{1};

const SystemClock kSystemClock;

}  // namespace

// A policy that is due, by its end.
struct DueCandidate {
  DomainName domain;
  WallTime due_at{};
  bool on_disk = false;  // else it waits for its commit
};
class DueSelection {
 public:
  DueSelection(const DueRequest& request, std::size_t most) : request_(request), selected_(most) {}

  // False: there is nothing to do about this one.
  bool wants(WallTime due_at, WallTime expires_at) const {
    return is_overdue(due_at, expires_at, request_.now) ||
           selected_.wants(life_left(due_at, expires_at, request_.now));
  }

  void add(const DueCandidate& candidate, WallTime expires_at) {
    const double left = life_left(candidate.due_at, expires_at, request_.now);
    overdue_ += is_overdue(candidate.due_at, expires_at, request_.now) ? 1 : 0;
    if (selected_.wants(left) && !(request_.busy && request_.busy(candidate.domain))) {
      selected_.add(left, candidate);
    }
  }

  std::size_t overdue() const { return overdue_; }
  auto take() { return selected_.take(); }

 private:
  const DueRequest& request_;
  Lowest<double, DueCandidate> selected_;
  std::size_t overdue_ = 0;
};

// --- opening and closing ----------------------------------------------------------------------

LmdbStore::LmdbStore(const StoreOptions& options, Log& log)
    : options_(options),
      clock_(options.clock != nullptr ? *options.clock : kSystemClock),
      log_(log),
      file_(std::make_unique<CacheFile>(options.directory, options.max_size, log)),
      pending_(std::make_unique<Pending>()),
      reader_(make_reader()),
      batch_writer_(std::make_unique<Writer>(
          *file_, Writer::Bounds{options.max_size, options.max_negative, options.versions}, clock_,
          counters_, log)) {}

Result<std::unique_ptr<LmdbStore>, std::string> LmdbStore::open(const StoreOptions& options,
                                                                Log& log) {
  auto self = std::unique_ptr<LmdbStore>(new LmdbStore(options, log));
  if (auto opened = self->file_->open(); !opened) {
    return failure(std::move(opened.error()));
  }
  if (options.commit == StoreOptions::Commit::InBackground) {
    self->writer_ = std::thread([store = self.get()] { store->write_loop(); });
  }
  const std::lock_guard lock(self->salvage_mutex_);
  if (!self->file_->damaged_file().empty()) {
    self->salvage_notes();  // before anybody asks for them; if it fails, it is tried again
  }
  self->start_salvage();
  if (self->salvage_) {
    self->salvage_->wait(kSalvageWait);
  }
  return self;
}

// Unless there is nothing to salvage, or it is being done. With salvage_mutex_ held.
void LmdbStore::start_salvage() {
  const std::string file = file_->damaged_file();
  if (file.empty() || closing_ || (salvage_ && !salvage_->ended())) {
    return;
  }
  Salvage::Sink sink;
  sink.take = [this](const DomainName& domain, EntryPtr entry) {
    return pending_->has_room() && remember(domain, std::move(entry), Origin::Salvaged);
  };
  sink.all_committed = [this] { return pending_->salvaged() == 0 && salvage_notes(); };
  sink.done = [this](std::size_t entries) {
    const std::string kept_as = file_->finish_damaged_file();
    log_.write(Event::CacheSetAside, {{"kept_as", kept_as}, {"records_read", entries}});
  };
  salvage_ = std::make_unique<Salvage>(file, clock_, std::move(sink));
}

// Takes the notes of the damaged file over, once. False: that could not be done yet.
bool LmdbStore::salvage_notes() {
  const LmdbEnv* env = file_->writable();
  if (env == nullptr) {
    return false;
  }
  auto txn = Txn::begin(env->env(), 0);
  if (!txn) {
    return false;
  }
  MDB_val done = to_val(kNotesSalvagedKey);
  MDB_val value{};
  if (mdb_get(txn->get(), env->meta(), &done, &value) == 0) {
    return true;
  }
  std::map<std::string, std::string> notes;
  std::size_t bytes = 0;
  salvage_records(file_->damaged_file(), kMetaTable, steady_clock::now() + kSalvageWait,
                  [&](std::string_view key, std::string_view found) {
                    if (key.starts_with(kNotePrefix)) {
                      bytes += key.size() + found.size();
                      std::string& kept = notes[std::string(key)];
                      kept = std::max(kept, std::string(found));
                    }
                    return bytes < kMaxSalvagedNoteBytes;
                  });
  int rc = 0;
  for (const auto& [name, note] : notes) {
    MDB_val key = to_val(name);
    value = to_val(note);
    const int put = mdb_put(txn->get(), env->meta(), &key, &value, MDB_NOOVERWRITE);
    rc = rc == 0 && put != MDB_KEYEXIST ? put : rc;
  }
  value = to_val("1");
  rc = rc == 0 ? mdb_put(txn->get(), env->meta(), &done, &value, 0) : rc;
  rc = rc == 0 ? txn->commit() : rc;
  file_->end_if_damaged(rc);
  if (rc == 0 && !notes.empty()) {
    log_.write(Event::OverridesSalvaged, {{"count", notes.size()}});
  }
  return rc == 0;
}

// The file can have been found damaged, or the damaged one not been readable before.
void LmdbStore::look_after() {
  file_->look_after();
  // Who holds it starts a salvage, or ends the last one.
  const std::unique_lock lock(salvage_mutex_, std::try_to_lock);
  if (lock) {
    start_salvage();
  }
}

LmdbStore::~LmdbStore() {
  {
    const std::lock_guard lock(salvage_mutex_);
    closing_ = true;
  }
  salvage_.reset();
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
  return std::make_unique<Reader>(*file_, *pending_);
}

bool LmdbStore::writable() const {
  return file_->writable() != nullptr;
}

// --- the resolver's side ----------------------------------------------------------------------

EntryPtr LmdbStore::find(const DomainName& domain) {
  Reader::Snapshot snapshot(*reader_);
  const auto view = snapshot.find(domain);
  if (snapshot.failed()) {
    note_read_error();
  }
  if (!knows_all()) {
    last_unsure_ = clock_.steady();
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
  last_unsure_ = now;
}

// False while there may be policies on the disk that find() does not see.
bool LmdbStore::knows_all() const {
  return writable() && !file_->has_damaged_file();
}

void LmdbStore::put(const DomainName& domain, Entry entry) {
  const SteadyTime now = clock_.steady();
  if (!knows_all()) {
    last_unsure_ = now;
  }
  const bool blind = last_unsure_ && now - *last_unsure_ < kReadErrorHolds;
  const bool kept = remember(domain, std::make_shared<const Entry>(std::move(entry)),
                             blind ? Origin::Blind : Origin::Resolver);
  counters_.not_kept.add(kept ? 0 : 1);
}

void LmdbStore::erase(const DomainName& domain) {
  counters_.not_kept.add(remember(domain, nullptr, Origin::Resolver) ? 0 : 1);
}

bool LmdbStore::remember(const DomainName& domain, EntryPtr entry, Origin origin) {
  if (!pending_->put(domain, std::move(entry), origin)) {
    return false;
  }
  // Whatever waited before: the writer may have taken all of that meanwhile, and gone to sleep.
  const std::lock_guard lock(mutex_);
  wake_.notify_one();
  return true;
}

Due LmdbStore::due(const DueRequest& request) {
  DueSelection selection(request, pending_->has_room_to_refresh() ? request.max : 0);
  select_due_in_memory(request, selection);
  select_due_on_disk(request, selection);
  Due due{.domains = {}, .overdue = selection.overdue()};
  Reader::Snapshot snapshot(*reader_);
  for (const auto& [left, candidate] : selection.take()) {
    const auto view = snapshot.find(candidate.domain);
    const bool holds = !candidate.on_disk ||
                       (view && view->facts().has_policy && view->due_at() == candidate.due_at);
    if (holds) {
      due.domains.push_back(candidate.domain);
    } else if (!snapshot.failed()) {
      forget_index(index_key(candidate.due_at, candidate.domain));
    }
  }
  return due;
}

void LmdbStore::select_due_on_disk(const DueRequest& request, DueSelection& selection) {
  reader_->each_due(request, kDueWindow, [&](std::string_view key, WallTime expires_at) {
    const WallTime due_at = index_time(key);
    if (!selection.wants(due_at, expires_at)) {
      return;
    }
    const auto domain = index_domain(key);
    if (!domain) {
      forget_index(key);
      return;
    }
    // What waits for its commit has been looked at in memory.
    if (!pending_->find(*domain)) {
      selection.add({*domain, due_at, true}, expires_at);
    }
  });
}

// Policies that wait for their commit: few, unless the disk cannot be written.
void LmdbStore::select_due_in_memory(const DueRequest& request, DueSelection& selection) {
  pending_->each([&](const DomainName& domain, const Change& change) {
    if (!change.entry || !change.entry->policy) {
      return;
    }
    const WallTime due_at = change.entry->due_at;
    const WallTime expires_at = change.entry->policy->expires_at();
    const bool in_range = due_at <= request.now || due_at > request.farthest;
    if (in_range && selection.wants(due_at, expires_at)) {
      selection.add({domain, due_at, false}, expires_at);
    }
  });
}

// An index key whose record is gone or damaged would come up as due for ever.
void LmdbStore::forget_index(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (stale_index_.size() < kMaxStaleIndex) {
    stale_index_.emplace_back(key);
    wake_.notify_one();
  }
}

template <typename Read>
void LmdbStore::with_reading(Read read) const {
  const CacheFile::ReadOnly locked =
      file_->writable() == nullptr ? file_->read_only() : CacheFile::ReadOnly{};
  const LmdbEnv* const env = locked.env != nullptr ? locked.env : file_->writable();
  if (env == nullptr) {
    return;
  }
  if (const auto txn = Txn::begin(env->env(), MDB_RDONLY)) {
    read(*env, txn->get());
  }
}

std::string LmdbStore::history(const DomainName& domain) const {
  std::string found;
  with_reading([&](const LmdbEnv& env, MDB_txn* txn) { found = read_history(env, txn, domain); });
  return found;
}

std::vector<LmdbStore::Note> LmdbStore::notes() const {
  std::vector<Note> notes;
  with_reading([&](const LmdbEnv& env, MDB_txn* txn) {
    each_record(txn, env.meta(), kNotePrefix, [&](std::string_view key, std::string_view value) {
      if (!key.starts_with(kNotePrefix)) {
        return false;
      }
      notes.push_back({std::string(key.substr(kNotePrefix.size())), std::string(value)});
      return true;
    });
  });
  return notes;
}

Result<void, std::string> LmdbStore::write_notes(const std::vector<Note>& notes) {
  const LmdbEnv* env = file_->writable();
  if (env == nullptr) {
    return failure(std::string("the cache cannot be written, and the log says why"));
  }
  auto txn = Txn::begin(env->env(), 0);
  int rc = txn ? 0 : txn.error();
  for (const Note& note : notes) {
    if (rc != 0) {
      break;
    }
    const std::string name = std::string(kNotePrefix) + note.key;
    MDB_val key = to_val(name);
    MDB_val value = to_val(note.value);
    if (note.value.empty()) {
      rc = mdb_del(txn->get(), env->meta(), &key, nullptr);
      rc = rc == MDB_NOTFOUND ? 0 : rc;
    } else {
      rc = mdb_put(txn->get(), env->meta(), &key, &value, 0);
    }
  }
  rc = rc == 0 ? txn->commit() : rc;
  if (rc != 0) {
    file_->end_if_damaged(rc);
    return failure("the cache cannot be written: " + std::string(Writer::error_text(rc)));
  }
  return {};
}

CacheTotals LmdbStore::totals() const {
  return file_->totals();
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
  return writable() && (!pending_->empty() || !stale_index_.empty());
}

void LmdbStore::write_loop() {
  auto next_commit = steady_clock::now();
  auto next_look = next_commit + options_.look_after_spacing;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, next_look, [&] { return stop_ || has_work(); });
      if (has_work()) {
        wake_.wait_until(lock, std::min(next_commit, next_look), [&] { return stop_; });
      }
      if (stop_) {
        return;
      }
    }
    if (steady_clock::now() >= next_look) {
      look_after();
      next_look = steady_clock::now() + options_.look_after_spacing;
    } else if (steady_clock::now() >= next_commit) {
      const bool good = write_batch();
      next_commit = steady_clock::now() + (good ? kCommitSpacing : kRetrySpacing);
    }
  }
}

bool LmdbStore::write_batch() {
  Batch batch{pending_->batch(kMaxBatch, kMaxBatchBytes), take_stale_index(), {}};
  const SteadyTime began = steady_clock::now();
  const int rc = batch_writer_->commit(batch);
  const auto took = std::chrono::duration_cast<Milliseconds>(steady_clock::now() - began);
  counters_.commit_ms.add(static_cast<std::uint64_t>(took.count()));
  if (rc == 0) {
    for (std::size_t i = 0; i < batch.changes.size(); ++i) {
      pending_->committed(batch.changes[i], batch.skipped[i]);
    }
  }
  note_commit_result(rc, batch.changes.size());
  const std::lock_guard lock(mutex_);
  failed_attempts_ += rc == 0 ? 0 : 1;
  drained_.notify_all();
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

std::vector<std::string> LmdbStore::take_stale_index() {
  const std::lock_guard lock(mutex_);
  return std::exchange(stale_index_, {});
}

void LmdbStore::note_commit_result(int rc, std::size_t changes) {
  (rc == 0 ? counters_.commits : counters_.failed_commits).add();
  if (rc != 0 && !failing_) {
    log_.write(Event::CommitFailed, {{"directory", options_.directory},
                                     {"reason", Writer::error_text(rc)},
                                     {"pending", changes}});
  } else if (rc == 0 && failing_) {
    log_.write(Event::CommitsRecovered, {{"directory", options_.directory}});
  }
  failing_ = rc != 0;
}

}  // namespace mtastsd::cache
