#include "mtastsd/cache/reader.h"

#include <lmdb.h>

#include "lmdb/env.h"
#include "pending.h"

namespace mtastsd::cache {

Reader::~Reader() {
  forget_transaction();
}

const Versions& Reader::versions() const {
  return pending_.versions();
}

void Reader::forget_transaction() {
  if (txn_ != nullptr) {
    mdb_txn_abort(txn_);
    txn_ = nullptr;
  }
  reading_ = false;
}

// What is committed now. Null: there is no file, or LMDB cannot read it.
MDB_txn* Reader::begin() {
  end();
  const LmdbEnv* env = current_.load(std::memory_order_acquire);
  if (env != env_) {
    forget_transaction();
    env_ = env;
  }
  if (env == nullptr) {
    return nullptr;
  }
  if (txn_ == nullptr) {
    if (mdb_txn_begin(env->env(), nullptr, MDB_RDONLY, &txn_) != 0) {
      txn_ = nullptr;
    }
  } else if (mdb_txn_renew(txn_) != 0) {
    forget_transaction();
  }
  reading_ = txn_ != nullptr;
  return txn_;
}

void Reader::end() {
  if (reading_) {
    mdb_txn_reset(txn_);
    reading_ = false;
  }
}

Reader::Snapshot::~Snapshot() {
  reader_.end();
}

// What waits is looked at first: a commit that comes between the two is then seen in the file.
std::optional<EntryView> Reader::Snapshot::find(const DomainName& domain) {
  damaged_.reset();
  const std::optional<Change> waiting = reader_.pending_.find(domain);
  std::optional<EntryView> found;
  if (!waiting || waiting->origin != Origin::Resolver) {
    found = committed(domain);
  }
  if (waiting && (!found || replaces(*waiting, found->facts()))) {
    return waiting->entry ? std::optional(EntryView(waiting->entry)) : std::nullopt;
  }
  return found;
}

std::optional<EntryView> Reader::Snapshot::committed(const DomainName& domain) {
  MDB_txn* const txn = reader_.begin();
  if (txn == nullptr) {
    failed_ = failed_ || reader_.env_ != nullptr;
    return std::nullopt;
  }
  MDB_val key = to_val(domain.view());
  MDB_val value;
  const int rc = mdb_get(txn, reader_.env_->entries(), &key, &value);
  if (rc != 0) {
    failed_ = failed_ || rc != MDB_NOTFOUND || reader_.env_->lost_pages();
    return std::nullopt;
  }
  const std::string_view record = from_val(value);
  const auto view = RecordView::decode(record);
  if (!view) {
    damaged_ = view.error();
    return std::nullopt;
  }
  return EntryView(*view, record);
}

}  // namespace mtastsd::cache
