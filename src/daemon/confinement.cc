// The list of system calls was made from what strace(1) shows of the daemon under its tests, and
// what glibc, libcurl, c-ares, OpenSSL, libevent and LMDB call besides. A call that is missing
// there fails like one that the kernel does not have, for which libraries have another way.

#include "confinement.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "mtastsd/base/fd.h"
#include "sanitizers.h"

namespace mtastsd::daemon {
namespace {

// As in <linux/landlock.h>, whose version on the machine that builds says nothing of the kernel
// that runs the program.
constexpr std::uint64_t kExecute = 1U << 0;
constexpr std::uint64_t kWriteFile = 1U << 1;
constexpr std::uint64_t kRemoveFile = 1U << 5;
constexpr std::uint64_t kMakeRegular = 1U << 8;
constexpr std::uint64_t kRemoveDirToMakeSymlink = 0x1ff0;  // bits 4 to 12
constexpr std::uint64_t kRefer = 1U << 13;                 // since version 2
constexpr std::uint64_t kTruncate = 1U << 14;              // since version 3
constexpr std::uint64_t kBindTcp = 1U << 0;                // since version 4
constexpr int kPathBeneath = 1;
constexpr int kNetPort = 2;  // since version 4
constexpr unsigned kAskVersion = 1;

struct Ruleset {
  std::uint64_t files;
  std::uint64_t network;  // since version 4
};

struct __attribute__((packed)) BeneathPath {
  std::uint64_t allowed;
  std::int32_t directory;
};

struct PortRule {
  std::uint64_t allowed;
  std::uint64_t port;
};

bool allow(int ruleset, const std::string& directory, std::uint64_t what) {
  const Fd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const BeneathPath rule{what, fd.get()};
  return fd && ::syscall(SYS_landlock_add_rule, ruleset, kPathBeneath, &rule, 0) == 0;
}

int confine_files(const std::string& cache_directory,
                  const std::vector<std::string>& socket_directories, bool binds_sources) {
  const auto version =
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion));
  if (version < 1) {
    return 0;
  }
  const std::uint64_t truncate = version >= 3 ? kTruncate : 0;
  const Ruleset handled{
      kExecute | kWriteFile | kRemoveDirToMakeSymlink | (version >= 2 ? kRefer : 0) | truncate,
      kBindTcp};
  const std::size_t size = version >= 4 ? sizeof(handled) : sizeof(handled.files);
  const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, size, 0)));
  if (!ruleset ||
      !allow(ruleset.get(), cache_directory, kWriteFile | kRemoveFile | kMakeRegular | truncate)) {
    return 0;
  }
  for (const std::string& directory : socket_directories) {
    allow(ruleset.get(), directory, kRemoveFile);
  }
  if (binds_sources && version >= 4) {
    const PortRule any_free{kBindTcp, 0};  // a port that the kernel chooses
    ::syscall(SYS_landlock_add_rule, ruleset.get(), kNetPort, &any_free, 0);
  }
  return ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0 ? version : 0;
}

constexpr std::array kCalls = {
    // Files.
    "access", "close", "close_range", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fallocate",
    "fcntl", "fcntl64", "fdatasync", "flock", "fstat", "fstat64", "fstatat64", "fstatfs", "fsync",
    "ftruncate", "ftruncate64", "getcwd", "getdents", "getdents64", "ioctl", "_llseek", "lseek",
    "lstat", "lstat64", "mkdir", "mkdirat", "msync", "newfstatat", "open", "openat", "pread64",
    "preadv", "pwrite64", "pwritev", "read", "readlink", "readlinkat", "readv", "rename",
    "renameat", "renameat2", "stat", "stat64", "statfs", "statx", "umask", "unlink", "unlinkat",
    "write", "writev",
    // Sockets, and waiting for them.
    "accept", "accept4", "bind", "connect", "epoll_create1", "epoll_ctl", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "eventfd2", "getpeername", "getsockname", "getsockopt", "pipe",
    "pipe2", "poll", "ppoll", "ppoll_time64", "pselect6", "recvfrom", "recvmmsg", "recvmsg",
    "select", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketpair",
    "timerfd_create", "timerfd_settime", "timerfd_settime64",
    // Memory.
    "brk", "madvise", "membarrier", "mmap", "mmap2", "mprotect", "mremap", "munmap",
    // Threads, signals, time and the process.
    "arch_prctl", "clock_getres", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "exit", "exit_group", "futex", "futex_time64", "get_robust_list",
    "getegid", "geteuid", "getgid", "getpid", "getrandom", "getresgid", "getresuid", "getrlimit",
    "getrusage", "gettid", "gettimeofday", "getuid", "nanosleep", "restart_syscall", "rseq",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sched_getaffinity",
    "sched_yield", "set_robust_list", "set_tid_address", "sigaltstack", "sysinfo", "tgkill", "time",
    "ugetrlimit", "uname"};

bool add(scmp_filter_ctx filter, const char* name) {
  const int number = seccomp_syscall_resolve_name(name);
  // One that this architecture does not have.
  return number < 0 || seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) == 0;
}

bool add_if(scmp_filter_ctx filter, int number, scmp_arg_cmp condition) {
  return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, condition) == 0;
}

bool add_calls(scmp_filter_ctx filter) {
  for (const char* name : kCalls) {
    if (!add(filter, name)) {
      return false;
    }
  }
  for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}) {
    if (!add_if(filter, SCMP_SYS(socket),
                SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)))) {
      return false;
    }
  }
  // Threads, but no processes. What clone3() asks for a filter cannot see, and glibc then calls
  // clone().
  return add_if(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) &&
         add_if(filter, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME)) &&
         // The limits of this process can be read, but not set.
         add_if(filter, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
}

bool confine_calls() {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
  if (filter == nullptr) {
    return false;
  }
  // Without this, a call of another architecture that the machine can run ends the process.
  const bool loaded =
      seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)) == 0 &&
      add_calls(filter) && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return loaded;
}

}  // namespace

Confinement confine(const std::string& cache_directory,
                    const std::vector<std::string>& socket_directories, bool binds_sources) {
  Confinement done;
  done.landlock = confine_files(cache_directory, socket_directories, binds_sources);
  done.seccomp = !kSanitized && confine_calls();
  return done;
}

}  // namespace mtastsd::daemon
