#include "lmdb/writer.h"

#include <lmdb.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lmdb/cache_file.h"
#include "lmdb/env.h"
#include "lmdb/tables.h"
#include "lowest.h"
#include "mtastsd/base/keyed_hash.h"
#include "mtastsd/base/owner.h"
#include "mtastsd/cache/history.h"
#include "mtastsd/log/log.h"

namespace mtastsd::cache {
namespace {

constexpr std::size_t kEvictAtOnce = 20000;
constexpr std::size_t kOwnersCounted = 200000;    // records at one time, some tenths of a second
constexpr std::size_t kSmallestPart = 10000;      // of what is in use, that is given up at once
constexpr std::uint64_t kReaderCheckEvery = 100;  // commits

}  // namespace

LmdbEnv& Writer::env() const {
  return *file_.writable();
}

const char* Writer::error_text(int rc) {
  return mdb_strerror(rc);
}

int Writer::commit(Batch& batch) {
  file_.check();
  int rc = try_commit(batch);
  if (rc == MDB_MAP_FULL && make_room() == 0) {
    rc = try_commit(batch);
  }
  file_.end_if_damaged(rc);
  if (rc == 0 && counters_.commits.value() % kReaderCheckEvery == 0) {
    int dead = 0;
    mdb_reader_check(env().env(), &dead);  // a killed reader of another process pins pages
  }
  return rc;
}

// In a transaction of its own: the pages that it frees are there for the next one. It takes pages
// itself, so it tries for less where they do not suffice.
int Writer::make_room() {
  int rc = MDB_MAP_FULL;
  for (std::size_t part = 10; rc == MDB_MAP_FULL && part <= kSmallestPart; part *= 2) {
    auto txn = Txn::begin(env().env(), 0);
    if (!txn) {
      return txn.error();
    }
    const std::size_t used = env().used_bytes(txn->get());
    if (used <= bounds_.max_size - bounds_.max_size / 10) {
      return MDB_MAP_FULL;  // a reader pins old pages: no record is in the way
    }
    rc = evict(txn->get(), used - used / part);
    rc = rc == 0 ? txn->commit() : rc;
  }
  return rc;
}

int Writer::try_commit(Batch& batch) {
  auto txn = Txn::begin(env().env(), 0);
  if (!txn) {
    return txn.error();
  }
  batch.skipped.assign(batch.changes.size(), false);
  for (std::size_t i = 0; i < batch.changes.size(); ++i) {
    if (const int rc = apply(txn->get(), batch, i); rc != 0) {
      return rc;
    }
  }
  for (const std::string& stale : batch.stale_index) {
    MDB_val key = to_val(stale);
    if (const int rc = mdb_del(txn->get(), env().due(), &key, nullptr);
        rc != 0 && rc != MDB_NOTFOUND) {
      return rc;
    }
  }
  if (const int rc = trim(txn->get()); rc != 0) {
    return rc;
  }
  return txn->commit();
}

int Writer::apply(MDB_txn* txn, Batch& batch, std::size_t number) {
  const auto& [domain, change] = batch.changes[number];
  if (change.origin != Origin::Resolver) {
    MDB_val key = to_val(domain.view());
    MDB_val value;
    const int rc = mdb_get(txn, env().entries(), &key, &value);
    if (rc != 0 && rc != MDB_NOTFOUND) {
      return rc;
    }
    if (rc == 0) {
      const auto committed = RecordView::decode(from_val(value));
      if (committed && !replaces(change, committed->facts())) {
        batch.skipped[number] = true;
        return 0;
      }
    }
  }
  if (change.entry) {
    if (const int rc = note_history(txn, domain, *change.entry); rc != 0) {
      return rc;
    }
  }
  return write_record(env(), txn, domain, change.entry ? encode(*change.entry) : std::string());
}

// Before the record is written: what it says now is what has changed.
int Writer::note_history(MDB_txn* txn, const DomainName& domain, const Entry& entry) {
  if (bounds_.versions == 0 || !entry.policy) {
    return 0;
  }
  MDB_val key = to_val(domain.view());
  MDB_val value;
  const int rc = mdb_get(txn, env().entries(), &key, &value);
  if (rc != 0) {
    return rc == MDB_NOTFOUND ? 0 : rc;  // the history of a new domain begins with its record
  }
  const auto before = decode_entry(from_val(value));
  History history = decode_history(read_history(env(), txn, domain));
  if (!note_change(history, before ? &*before : nullptr, entry, bounds_.versions, clock_.wall())) {
    return 0;
  }
  const std::string text = encode_history(std::move(history));
  const std::string name = std::string(kHistoryPrefix) + domain.str();
  key = to_val(name);
  value = to_val(text);
  return mdb_put(txn, env().meta(), &key, &value, 0);
}

// Keeps "no policy" results within their number and the file within its size.
int Writer::trim(MDB_txn* txn) {
  MDB_stat stat;
  if (const int rc = mdb_stat(txn, env().negative(), &stat); rc != 0) {
    return rc;
  }
  const std::size_t surplus =
      stat.ms_entries > bounds_.max_negative ? stat.ms_entries - bounds_.max_negative : 0;
  if (const int rc = drop_negative(txn, surplus); rc != 0) {
    return rc;
  }
  // Down to a little below, so that not every commit has to look for victims.
  const std::size_t target = bounds_.max_size - bounds_.max_size / 20;
  for (std::size_t used = env().used_bytes(txn); used > bounds_.max_size;) {
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

int Writer::drop_negative(MDB_txn* txn, std::size_t count) {
  const Cursor cursor = open_cursor(txn, env().negative());
  if (!cursor) {
    return ENOMEM;
  }
  for (; count > 0; --count) {
    MDB_val key;
    MDB_val value;
    if (const int rc = mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST); rc != 0) {
      return rc == MDB_NOTFOUND ? 0 : rc;
    }
    if (const int rc = drop_record_of(txn, from_val(key)); rc != 0) {
      return rc;
    }
    if (const int removed = mdb_cursor_del(cursor.get(), 0); removed != 0) {
      return removed;
    }
    counters_.evicted.add();
  }
  return 0;
}

// The key may be left over from a record that could not be read: then there is nothing to drop.
int Writer::drop_record_of(MDB_txn* txn, std::string_view negative_key) {
  const auto domain = index_domain(negative_key);
  if (!domain) {
    return 0;
  }
  MDB_val key = to_val(domain->view());
  MDB_val record;
  if (const int rc = mdb_get(txn, env().entries(), &key, &record); rc != 0) {
    return rc == MDB_NOTFOUND ? 0 : rc;
  }
  const auto view = RecordView::decode(from_val(record));
  const bool holds =
      view && !view->facts().has_policy && view->facts().recheck_at == index_time(negative_key);
  if (!holds) {
    return 0;
  }
  const int rc = mdb_del(txn, env().entries(), &key, nullptr);
  return rc == 0 ? drop_history(env(), txn, *domain) : rc;
}

namespace {

// The most valuable first: for a heap with the least valuable at its front.
bool worth_more(const Victim& a, const Victim& b) {
  return b.value < a.value;
}

std::uint64_t owner_hash(const DomainName& domain) {
  return keyed_hash(owner_of(domain));
}

}  // namespace

// Finding an owner takes some microseconds, so of a large cache only every so many records are
// asked for theirs.
int Writer::count_owners(MDB_txn* txn, OwnerBytes& owners) const {
  MDB_stat stat;
  if (const int rc = mdb_stat(txn, env().entries(), &stat); rc != 0) {
    return rc;
  }
  const std::size_t stride = 1 + stat.ms_entries / kOwnersCounted;
  std::size_t number = 0;
  const auto count = [&](std::string_view key, std::string_view bytes) {
    const auto domain = number++ % stride == 0 ? DomainName::parse(key) : std::nullopt;
    if (domain) {
      owners.add(owner_hash(*domain), (key.size() + bytes.size()) * stride);
    }
    return true;
  };
  const auto count_history = [&](std::string_view key, std::string_view bytes) {
    return key.starts_with(kHistoryPrefix) && count(key.substr(kHistoryPrefix.size()), bytes);
  };
  const int rc = each_record(txn, env().entries(), {}, count);
  return rc == 0 ? each_record(txn, env().meta(), kHistoryPrefix, count_history) : rc;
}

// Looks at all records, and drops the least valuable until `target` bytes are in use.
int Writer::evict(MDB_txn* txn, std::size_t target) {
  const WallTime now = clock_.wall();
  OwnerBytes owners;
  if (const int rc = count_owners(txn, owners); rc != 0) {
    return rc;
  }
  Lowest<Value, Victim> lowest(kEvictAtOnce);
  const auto consider = [&](std::string_view key, std::string_view bytes) {
    const auto domain = DomainName::parse(key);
    const auto record = RecordView::decode(bytes);
    const EntryFacts facts = record ? record->facts() : EntryFacts{};
    // Of an owner who uses all there is; most records need not be asked for their owner.
    if (!domain || !lowest.wants(value_of(facts, std::uint64_t{1} << 62, now))) {
      return true;
    }
    const std::uint64_t owner = owner_hash(*domain);
    const Value value = value_of(facts, owners.of(owner), now);
    if (lowest.wants(value)) {
      lowest.add(value, {value, facts, owner, key.size() + bytes.size(), *domain});
    }
    return true;
  };
  if (const int rc = each_record(txn, env().entries(), {}, consider); rc != 0) {
    return rc;
  }
  return drop(txn, target, lowest.take(), owners, now);
}

// An owner's share shrinks with each record that is dropped. What is worth more by that gets in
// line again: at most once for each power of two.
int Writer::drop(MDB_txn* txn, std::size_t target, std::vector<std::pair<Value, Victim>> lowest,
                 OwnerBytes& owners, WallTime now) {
  std::vector<Victim> heap;
  heap.reserve(lowest.size());
  for (auto& [value, victim] : lowest) {
    heap.push_back(victim);
  }
  std::make_heap(heap.begin(), heap.end(), worth_more);
  std::size_t enforced = 0;
  while (!heap.empty() && env().used_bytes(txn) > target) {
    std::pop_heap(heap.begin(), heap.end(), worth_more);
    Victim& victim = heap.back();
    if (const Value value = value_of(victim.facts, owners.of(victim.owner), now);
        victim.value < value) {
      victim.value = value;
      std::push_heap(heap.begin(), heap.end(), worth_more);
      continue;
    }
    if (const int rc = write_record(env(), txn, victim.domain, {}); rc != 0) {
      return rc;
    }
    owners.subtract(victim.owner, victim.bytes);
    counters_.evicted.add();
    enforced += victim.value.worth >= Worth::Enforced ? 1 : 0;
    heap.pop_back();
  }
  if (enforced > 0) {
    log_.write(Event::CacheFull, {{"dropped", enforced}, {"max_size", bounds_.max_size}});
  }
  return 0;
}

}  // namespace mtastsd::cache
