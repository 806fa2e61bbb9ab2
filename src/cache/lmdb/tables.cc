#include "lmdb/tables.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {
namespace {

constexpr std::size_t kTimeBytes = 8;

void append_time(std::string& out, WallTime time) {
  const auto seconds = static_cast<std::uint64_t>(time.time_since_epoch().count());
  for (int shift = 56; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(seconds >> shift & 0xff));
  }
}

// Where a record stands in its index: policies by the time they are due, "no policy" results by
// their end.
std::string index_key_of(const RecordView& record, const DomainName& domain) {
  return index_key(record.facts().has_policy ? record.due_at() : record.facts().recheck_at, domain);
}

MDB_dbi index_of(const LmdbEnv& env, const RecordView& record) {
  return record.facts().has_policy ? env.due() : env.negative();
}

int remove_from_index(const LmdbEnv& env, MDB_txn* txn, const DomainName& domain,
                      std::string_view stored) {
  const auto record = RecordView::decode(stored);
  if (!record) {
    return 0;  // whoever meets the key that is left over takes it away
  }
  const std::string key = index_key_of(*record, domain);
  MDB_val index = to_val(key);
  const int rc = mdb_del(txn, index_of(env, *record), &index, nullptr);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

}  // namespace

std::string index_key(WallTime time, const DomainName& domain) {
  std::string key;
  key.reserve(kTimeBytes + domain.size());
  append_time(key, time);
  key += domain.view();
  return key;
}

WallTime index_time(std::string_view bytes) {
  if (bytes.size() < kTimeBytes) {
    return WallTime{};
  }
  std::uint64_t seconds = 0;
  for (std::size_t i = 0; i < kTimeBytes; ++i) {
    seconds = seconds << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return WallTime(Seconds(static_cast<std::int64_t>(seconds)));
}

std::optional<DomainName> index_domain(std::string_view key) {
  return DomainName::parse(key.size() < kTimeBytes ? key : key.substr(kTimeBytes));
}

int write_record(const LmdbEnv& env, MDB_txn* txn, const DomainName& domain,
                 std::string_view record) {
  MDB_val key = to_val(domain.view());
  MDB_val value;
  const int found = mdb_get(txn, env.entries(), &key, &value);
  if (found == 0) {
    if (const int rc = remove_from_index(env, txn, domain, from_val(value)); rc != 0) {
      return rc;
    }
  } else if (found != MDB_NOTFOUND) {
    return found;
  }
  if (record.empty()) {
    const int rc = found == 0 ? mdb_del(txn, env.entries(), &key, nullptr) : 0;
    return rc == 0 ? drop_history(env, txn, domain) : rc;
  }
  const auto view = RecordView::decode(record);
  if (!view) {
    return MDB_BAD_VALSIZE;
  }
  value = to_val(record);
  if (const int rc = mdb_put(txn, env.entries(), &key, &value, 0); rc != 0) {
    return rc;
  }
  const std::string new_index = index_key_of(*view, domain);
  MDB_val index = to_val(new_index);
  std::string expires_at;
  if (view->facts().has_policy) {
    append_time(expires_at, view->facts().fetched_at + view->facts().max_age);
  }
  value = to_val(expires_at);
  return mdb_put(txn, index_of(env, *view), &index, &value, 0);
}

int drop_history(const LmdbEnv& env, MDB_txn* txn, const DomainName& domain) {
  const std::string name = std::string(kHistoryPrefix) + domain.str();
  MDB_val key = to_val(name);
  const int rc = mdb_del(txn, env.meta(), &key, nullptr);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

std::string read_history(const LmdbEnv& env, MDB_txn* txn, const DomainName& domain) {
  const std::string name = std::string(kHistoryPrefix) + domain.str();
  MDB_val key = to_val(name);
  MDB_val value{};
  return mdb_get(txn, env.meta(), &key, &value) == 0 ? std::string(from_val(value)) : std::string();
}

Cursor open_cursor(MDB_txn* txn, MDB_dbi table) {
  MDB_cursor* cursor = nullptr;
  return Cursor(mdb_cursor_open(txn, table, &cursor) == 0 ? cursor : nullptr);
}

int each_record(MDB_txn* txn, MDB_dbi table, std::string_view after, const VisitRecord& visit) {
  const Cursor cursor = open_cursor(txn, table);
  if (!cursor) {
    return ENOMEM;
  }
  MDB_val key = to_val(after);
  MDB_val value;
  int rc = mdb_cursor_get(cursor.get(), &key, &value, after.empty() ? MDB_FIRST : MDB_SET_RANGE);
  if (rc == 0 && from_val(key) == after) {
    rc = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT);
  }
  while (rc == 0 && visit(from_val(key), from_val(value))) {
    rc = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT);
  }
  return rc == MDB_NOTFOUND ? 0 : rc;
}

}  // namespace mtastsd::cache
