#include "lmdb/writer.h"

#include <lmdb.h>

#include <cerrno>
#include <utility>

#include "eviction.h"
#include "lmdb/cache_file.h"
#include "lmdb/env.h"
#include "lmdb/tables.h"
#include "lowest.h"
#include "mtastsd/log/log.h"

namespace mtastsd::cache {
namespace {

constexpr std::size_t kEvictAtOnce = 20000;
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
  return write_record(env(), txn, domain, change.entry ? encode(*change.entry) : std::string());
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
  return holds ? mdb_del(txn, env().entries(), &key, nullptr) : 0;
}

// Looks at all records, and drops the least valuable until `target` bytes are in use.
int Writer::evict(MDB_txn* txn, std::size_t target) {
  const WallTime now = clock_.wall();
  Lowest<Value, DomainName> victims(kEvictAtOnce);
  const auto consider = [&](std::string_view key, std::string_view bytes) {
    const auto domain = DomainName::parse(key);
    const auto record = RecordView::decode(bytes);
    const Value value = value_of(record ? record->facts() : EntryFacts{}, now);
    if (domain && victims.wants(value)) {
      victims.add(value, *domain);
    }
    return true;
  };
  if (const int rc = each_record(txn, env().entries(), {}, consider); rc != 0) {
    return rc;
  }
  std::size_t enforced = 0;
  for (const auto& [value, domain] : victims.take()) {
    if (env().used_bytes(txn) <= target) {
      break;
    }
    if (const int rc = write_record(env(), txn, domain, {}); rc != 0) {
      return rc;
    }
    counters_.evicted.add();
    enforced += value.first == Worth::Enforced ? 1 : 0;
  }
  if (enforced > 0) {
    log_.write(Event::CacheFull, {{"dropped", enforced}, {"max_size", bounds_.max_size}});
  }
  return 0;
}

}  // namespace mtastsd::cache
