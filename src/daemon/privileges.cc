#include "privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "mtastsd/base/fd.h"
#include "sanitizers.h"

namespace mtastsd::daemon {
namespace {

constexpr std::array kCacheFiles = {"data.mdb", "lock.mdb", "mtastsd.lock", "data.mdb.salvage"};

void give(int directory, const char* name, const Identity& to) {
  const Fd file(::openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (file && ::fstat(file.get(), &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == 0 &&
      info.st_nlink == 1) {
    [[maybe_unused]] const int rc = ::fchownat(file.get(), "", to.user, to.group, AT_EMPTY_PATH);
  }
}

void drop_bounding_set() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

}  // namespace

Result<std::optional<Identity>, std::string> identity_for(const config::Daemon& options) {
  if (::geteuid() != 0) {
    return std::nullopt;
  }
  const passwd* entry = ::getpwnam(options.user.c_str());
  if (entry == nullptr && options.user != config::Daemon().user) {
    return failure("daemon.user: there is no user \"" + options.user + "\"");
  }
  if (entry == nullptr || entry->pw_uid == 0) {
    return std::nullopt;
  }
  return Identity{entry->pw_uid, entry->pw_gid, options.user};
}

std::optional<Identity> owner_of_cache(const std::string& directory,
                                       const config::Daemon& options) {
  struct stat info {};
  if (::geteuid() != 0 || ::getpwnam(options.user.c_str()) != nullptr ||
      ::stat(directory.c_str(), &info) != 0 || info.st_uid == 0) {
    return std::nullopt;
  }
  const passwd* entry = ::getpwuid(info.st_uid);
  return Identity{info.st_uid, info.st_gid,
                  entry != nullptr ? entry->pw_name : std::to_string(info.st_uid)};
}

void hand_over_cache(const std::string& directory, const Identity& to) {
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || info.st_uid != 0 ||
      (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return;
  }
  for (const char* name : kCacheFiles) {
    give(fd.get(), name, to);
  }
  [[maybe_unused]] const int rc = ::fchown(fd.get(), to.user, to.group);
}

Result<void, std::string> become(const Identity& identity) {
  drop_bounding_set();  // This needs a capability, which another user does not have.
  if (::setgroups(0, nullptr) != 0 ||
      ::setresgid(identity.group, identity.group, identity.group) != 0 ||
      ::setresuid(identity.user, identity.user, identity.user) != 0) {
    return failure("cannot become the user \"" + identity.name + "\": " + std::strerror(errno));
  }
  return {};
}

bool can_read(const Identity& identity, const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool readable = ::initgroups(identity.name.c_str(), identity.group) == 0 &&
                          ::setresgid(identity.group, identity.group, identity.group) == 0 &&
                          ::setresuid(identity.user, identity.user, identity.user) == 0 &&
                          ::access(path.c_str(), R_OK) == 0;
    ::_exit(readable ? 0 : 1);
  }
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

void drop_capabilities() {
  // Each of these can fail only where there is nothing to drop.
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  drop_bounding_set();
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  ::syscall(SYS_capset, &header, none.data());
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (!kSanitized) {
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
}

}  // namespace mtastsd::daemon
