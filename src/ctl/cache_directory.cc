#include "cache_directory.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "mtastsd/base/fd.h"
#include "trouble.h"

namespace mtastsd::ctl {
namespace {

constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;

// As OpenSSH judges the directories above a file of keys: only root and the owner may be able to
// exchange what is there. In one like /tmp, users can only exchange what is their own.
bool is_safe(const struct stat& info, uid_t owner) {
  return (info.st_uid == 0 || info.st_uid == owner) &&
         ((info.st_mode & kOthersWrite) == 0 || (info.st_mode & S_ISVTX) != 0);
}

void check_above(const std::string& directory, uid_t owner) {
  std::error_code ec;
  const std::filesystem::path whole = std::filesystem::canonical(directory, ec);
  for (std::filesystem::path at = whole.parent_path(); !ec; at = at.parent_path()) {
    struct stat info {};
    if (::lstat(at.c_str(), &info) == 0 && !is_safe(info, owner)) {
      throw Trouble("the cache " + directory +
                    " is not safe to open as root, because others can "
                    "write to " +
                    at.string() +
                    ": chmod go-w it, or run this as the user that "
                    "mtastsd runs as");
    }
    if (at == at.parent_path()) {
      return;
    }
  }
}

void become(const struct stat& owned, const std::string& directory) {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(owned.st_gid, owned.st_gid, owned.st_gid) != 0 ||
      ::setresuid(owned.st_uid, owned.st_uid, owned.st_uid) != 0 ||
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    throw Trouble("cannot become the owner of " + directory + ": " + std::strerror(errno));
  }
}

}  // namespace

std::string enter_cache_directory(const std::string& directory) {
  // What it changes belongs to the whole process, like this.
  static std::string entered;
  if (::geteuid() != 0) {
    return entered.empty() ? directory : entered;
  }
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    return directory;  // Opening the cache gives the error.
  }
  if ((info.st_mode & kOthersWrite) != 0) {
    throw Trouble("the cache " + directory +
                  " can be written by others than its owner: chmod go-w it");
  }
  check_above(directory, info.st_uid);
  if (info.st_uid == 0) {
    return directory;
  }
  become(info, directory);
  struct stat reached {};
  if (::stat(directory.c_str(), &reached) == 0 && reached.st_dev == info.st_dev &&
      reached.st_ino == info.st_ino) {
    return directory;
  }
  // The directory of a dynamic user lies below one that only root may search.
  if (::fchdir(fd.get()) != 0) {
    throw Trouble("cannot enter " + directory + ": " + std::strerror(errno));
  }
  entered = ".";
  return entered;
}

bool has_cache(const std::string& directory) {
  struct stat info {};
  return ::lstat((directory + "/data.mdb").c_str(), &info) == 0 ||
         (errno != ENOENT && errno != ENOTDIR);
}

}  // namespace mtastsd::ctl
