#include "salvage.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "lmdb/env.h"
#include "map_guard.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {
namespace {

constexpr unsigned kSeconds = 20;  // for one look at the file
constexpr MDB_dbi kMainTable = 1;  // LMDB's own, of the names of tables
constexpr std::uint32_t kMaxField = std::uint32_t{1} << 20;

// In the child only: nothing is closed.
MDB_txn* read_only(const std::string& path, unsigned flags) {
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  if (mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, 8) != 0 ||
      mdb_env_open(env, path.c_str(), MDB_RDONLY | MDB_NOLOCK | flags, 0640) != 0 ||
      mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) != 0) {
    return nullptr;
  }
  return txn;
}

// A page of rubbish can look like one with other keys: their number tells.
bool walk_table(MDB_txn* txn, MDB_dbi table) {
  MDB_cursor* cursor = nullptr;
  MDB_stat stat;
  if (mdb_cursor_open(txn, table, &cursor) != 0 || mdb_stat(txn, table, &stat) != 0) {
    return false;
  }
  MDB_val key;
  MDB_val value;
  std::size_t keys = 0;
  int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
  for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
    const volatile char last = key.mv_size + value.mv_size == 0 ? 0 : *from_val(value).data();
    (void)last;
    ++keys;
  }
  return rc == MDB_NOTFOUND && keys == stat.ms_entries;
}

bool walk(const std::string& directory) {
  MDB_txn* txn = read_only(directory, 0);
  if (txn == nullptr) {
    return false;
  }
  constexpr MDB_dbi kFreeList = 0;  // which a commit reads too
  std::vector<MDB_dbi> tables = {kFreeList};
  for (const char* name : kTables) {
    MDB_dbi table = 0;
    const int rc = mdb_dbi_open(txn, name, 0, &table);
    if (rc != 0 && rc != MDB_NOTFOUND) {
      return false;
    }
    if (rc == 0) {
      tables.push_back(table);
    }
  }
  return std::all_of(tables.begin(), tables.end(),
                     [&](MDB_dbi table) { return walk_table(txn, table); });
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::write(fd, bytes.data(), bytes.size());
    if (sent < 0 && errno != EINTR) {
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent < 0 ? 0 : sent));
  }
  return true;
}

// Both lengths, then both fields.
bool send_record(int fd, std::string_view key, std::string_view value) {
  const std::array<std::uint32_t, 2> sizes = {static_cast<std::uint32_t>(key.size()),
                                              static_cast<std::uint32_t>(value.size())};
  return write_all(fd, {reinterpret_cast<const char*>(sizes.data()), sizeof(sizes)}) &&
         write_all(fd, key) && write_all(fd, value);
}

void send_sound_records(const std::string& data_file, int fd, bool forward) {
  MDB_txn* txn = read_only(data_file, MDB_NOSUBDIR);
  MDB_dbi table = 0;
  MDB_cursor* cursor = nullptr;
  if (txn == nullptr || mdb_dbi_open(txn, kEntriesTable, 0, &table) != 0 ||
      mdb_cursor_open(txn, table, &cursor) != 0) {
    return;
  }
  MDB_val key = to_val(kEntriesTable);
  MDB_val value;
  std::optional<MapGuard> guard;  // pages behind the end of the file are passed over
  if (mdb_get(txn, kMainTable, &key, &value) == 0) {
    guard.emplace(value.mv_data);
  }
  int rc = mdb_cursor_get(cursor, &key, &value, forward ? MDB_FIRST : MDB_LAST);
  for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &value, forward ? MDB_NEXT : MDB_PREV)) {
    // Lengths that come out of a damaged page end this process, not the one that reads.
    const bool sound = key.mv_size <= DomainName::kMaxSize && value.mv_size <= kMaxField &&
                       RecordView::decode(from_val(value));
    if (sound && !send_record(fd, from_val(key), from_val(value))) {
      return;
    }
  }
}

// Runs `work` in a child, without LMDB's last words, for kSeconds at most; -1 when that cannot be.
pid_t start_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::freopen("/dev/null", "w", stderr);
    ::alarm(kSeconds);
    ::_exit(work());
  }
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

bool read_exactly(int fd, char* to, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::read(fd, to, size);
    if (got == 0 || (got < 0 && errno != EINTR)) {
      return false;
    }
    to += got < 0 ? 0 : got;
    size -= static_cast<std::size_t>(got < 0 ? 0 : got);
  }
  return true;
}

void receive_records(int fd,
                     const std::function<void(const DomainName&, std::string_view)>& found) {
  std::array<std::uint32_t, 2> sizes{};
  std::string key;
  std::string record;
  while (read_exactly(fd, reinterpret_cast<char*>(sizes.data()), sizeof(sizes)) &&
         sizes[0] <= DomainName::kMaxSize && sizes[1] <= kMaxField) {
    key.resize(sizes[0]);
    record.resize(sizes[1]);
    if (!read_exactly(fd, key.data(), key.size()) ||
        !read_exactly(fd, record.data(), record.size())) {
      return;
    }
    if (const auto domain = DomainName::parse(key)) {
      found(*domain, record);
    }
  }
}

}  // namespace

bool readable_throughout(const std::string& directory) {
  const pid_t child = start_child([&] { return walk(directory) ? 0 : 1; });
  if (child < 0) {
    return false;
  }
  const int status = wait_for(child);
  return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
         (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

void salvage(const std::string& data_file,
             const std::function<void(const DomainName&, std::string_view)>& found) {
  for (const bool forward : {true, false}) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      return;
    }
    const pid_t child = start_child([&] {
      ::close(ends[0]);
      send_sound_records(data_file, ends[1], forward);
      return 0;
    });
    ::close(ends[1]);
    if (child > 0) {
      receive_records(ends[0], found);
    }
    ::close(ends[0]);
    if (child > 0) {
      wait_for(child);
    }
  }
}

}  // namespace mtastsd::cache
