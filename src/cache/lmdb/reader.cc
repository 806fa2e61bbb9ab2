#include "mtastsd/cache/reader.h"

#include <lmdb.h>

#include <utility>

#include "lmdb/cache_file.h"
#include "lmdb/env.h"
#include "lmdb/tables.h"
#include "pending.h"

namespace mtastsd::cache {
namespace {

// What one transaction of page() copies: some milliseconds.
constexpr std::size_t kPageRecords = 2000;
constexpr std::size_t kPageBytes = std::size_t{4} << 20;

}  // namespace

Reader::~Reader() {
  if (txn_ != nullptr) {
    mdb_txn_abort(txn_);
  }
}

const Versions& Reader::versions() const {
  return pending_.versions();
}

// What is committed now. Null: there is no file, or LMDB cannot read it (and env_ is not null).
MDB_txn* Reader::begin() {
  end();
  env_ = file_.writable();
  if (env_ == nullptr) {
    auto read_only = file_.read_only();
    env_ = read_only.env != nullptr ? read_only.env : file_.writable();
    if (read_only.env != nullptr) {
      read_only_ = std::move(read_only.lock);
    }
  }
  if (env_ == nullptr) {
    return nullptr;
  }
  const int rc = txn_ == nullptr ? mdb_txn_begin(env_->env(), nullptr, MDB_RDONLY, &txn_)
                                 : mdb_txn_renew(txn_);
  file_.end_if_damaged(rc);
  if (rc != 0) {
    mdb_txn_abort(std::exchange(txn_, nullptr));
    read_only_ = {};
    return nullptr;
  }
  reading_ = true;
  return txn_;
}

void Reader::end() {
  if (read_only_.owns_lock()) {
    // This environment may be closed before the next snapshot.
    mdb_txn_abort(std::exchange(txn_, nullptr));
    read_only_ = {};
  } else if (reading_) {
    mdb_txn_reset(txn_);
  }
  reading_ = false;
}

// What waits is looked at first: a commit that comes between the two is then seen in the file.
std::optional<EntryView> Reader::Snapshot::find(const DomainName& domain) {
  damaged_.reset();
  std::optional<Change> waiting = reader_.pending_.find(domain);
  std::optional<EntryView> found;
  if (!waiting || waiting->origin != Origin::Resolver) {
    found = committed(domain);
  }
  if (waiting && (!found || replaces(*waiting, found->facts()))) {
    found.reset();
    if (waiting->entry) {
      found.emplace(std::move(waiting->entry));
    }
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
    reader_.file_.end_if_damaged(rc);
    failed_ = failed_ || rc != MDB_NOTFOUND;
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

// Returns the name of the last one; empty: there are no more.
std::string Reader::copy_committed(const std::string& after, std::size_t most, Entries& entries) {
  std::string last;
  if (MDB_txn* const txn = begin()) {
    const int rc =
        each_record(txn, env_->entries(), after,
                    [&, bytes = std::size_t{0}, records = std::size_t{0}](
                        std::string_view key, std::string_view record) mutable {
                      const auto domain = DomainName::parse(key);
                      auto entry = decode_entry(record);
                      if (domain && entry) {
                        entries.emplace(*domain, std::make_shared<const Entry>(std::move(*entry)));
                      }
                      bytes += record.size();
                      const bool full = ++records == most || bytes >= kPageBytes;
                      last = full ? std::string(key) : std::string();
                      return !full;
                    });
    file_.end_if_damaged(rc);
    end();
  }
  return last;
}

Reader::Page Reader::committed_page(const std::string& after, std::size_t most) {
  Entries entries;
  Page page;
  page.last = copy_committed(after, most, entries);
  page.entries.assign(entries.begin(), entries.end());
  return page;
}

Reader::Page Reader::page(const std::string& after) {
  const std::vector<Pending::Item> waiting =
      pending_.behind(after);  // before the file, as in find()
  Page page;
  Entries entries;
  page.last = copy_committed(after, kPageRecords, entries);
  for (const auto& [domain, change] : waiting) {
    if (!page.last.empty() && domain.view() > page.last) {
      break;
    }
    const auto it = entries.find(domain);
    if (it != entries.end() && !replaces(change, facts_of(*it->second))) {
      continue;
    }
    if (change.entry) {
      entries.insert_or_assign(domain, change.entry);
    } else {
      entries.erase(domain);
    }
  }
  page.entries.assign(entries.begin(), entries.end());
  return page;
}

// The index has both ends in reach: what is due at its beginning, and what is due later than
// can be at its end.
void Reader::each_due(const DueRequest& request, std::size_t most, const VisitDue& visit) {
  MDB_txn* const txn = begin();
  if (txn == nullptr) {
    return;
  }
  Cursor cursor = open_cursor(txn, env_->due());
  MDB_val key;
  MDB_val value;
  for (const MDB_cursor_op start : {MDB_FIRST, MDB_LAST}) {
    const bool forward = start == MDB_FIRST;
    int rc = cursor ? mdb_cursor_get(cursor.get(), &key, &value, start) : MDB_NOTFOUND;
    for (std::size_t seen = 0; rc == 0 && seen < most; ++seen) {
      const WallTime due_at = index_time(from_val(key));
      if (forward ? due_at > request.now : due_at <= request.farthest) {
        break;
      }
      visit(from_val(key), index_time(from_val(value)));
      rc = mdb_cursor_get(cursor.get(), &key, &value, forward ? MDB_NEXT : MDB_PREV);
    }
    file_.end_if_damaged(rc);
  }
  cursor.reset();
  end();
}

}  // namespace mtastsd::cache
