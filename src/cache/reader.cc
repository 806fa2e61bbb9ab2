#include "mtastsd/cache/reader.h"

#include <lmdb.h>

#include "lmdb_env.h"

namespace mtastsd::cache {

Reader::~Reader() {
  forget_transaction();
}

void Reader::forget_transaction() {
  if (txn_ != nullptr) {
    mdb_txn_abort(txn_);
    txn_ = nullptr;
  }
}

Reader::Snapshot::Snapshot(Reader& reader) {
  const LmdbEnv* env = reader.current_.load(std::memory_order_acquire);
  if (env != reader.env_) {
    reader.forget_transaction();
    reader.env_ = env;
  }
  if (env == nullptr) {
    return;
  }
  if (reader.txn_ == nullptr) {
    if (mdb_txn_begin(env->env(), nullptr, MDB_RDONLY, &reader.txn_) != 0) {
      reader.txn_ = nullptr;
      failed_ = true;
      return;
    }
  } else if (mdb_txn_renew(reader.txn_) != 0) {
    reader.forget_transaction();
    failed_ = true;
    return;
  }
  env_ = env;
  txn_ = reader.txn_;
}

Reader::Snapshot::~Snapshot() {
  if (txn_ != nullptr) {
    mdb_txn_reset(txn_);
  }
}

std::string_view Reader::Snapshot::find(const DomainName& domain) {
  if (txn_ == nullptr) {
    return {};
  }
  MDB_val key = to_val(domain.view());
  MDB_val value;
  const int rc = mdb_get(txn_, env_->entries(), &key, &value);
  if (rc == 0) {
    return from_val(value);
  }
  failed_ = failed_ || rc != MDB_NOTFOUND || env_->lost_pages();
  return {};
}

}  // namespace mtastsd::cache
