#pragma once

#include <lmdb.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lmdb/env.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"

namespace mtastsd::cache {

// The key of an index: the time, big-endian so that keys are in its order, then the domain.
std::string index_key(WallTime time, const DomainName& domain);

// The time at the head of an index key, or in a value of the index of due policies. Epoch when
// there is none.
WallTime index_time(std::string_view bytes);

// The domain of an index key, if it names one.
std::optional<DomainName> index_domain(std::string_view key);

// Stores a record and its place in the index that it belongs to, in exchange for what the domain
// had. An empty record takes the domain away, with its history. Returns an LMDB error, or 0.
int write_record(const LmdbEnv& env, MDB_txn* txn, const DomainName& domain,
                 std::string_view record);

// Takes the history of a domain away. Returns an LMDB error, or 0.
int drop_history(const LmdbEnv& env, MDB_txn* txn, const DomainName& domain);

// The history of a domain as it is stored; empty: there is none, or it cannot be read.
std::string read_history(const LmdbEnv& env, MDB_txn* txn, const DomainName& domain);

struct CursorClose {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CursorClose>;

// Null when LMDB has none to give.
Cursor open_cursor(MDB_txn* txn, MDB_dbi table);

// The records of a table behind `after` (empty: all), by key, until `visit` returns false. Returns
// an LMDB error, or 0.
using VisitRecord = std::function<bool(std::string_view key, std::string_view record)>;
int each_record(MDB_txn* txn, MDB_dbi table, std::string_view after, const VisitRecord& visit);

}  // namespace mtastsd::cache
