// Each test confines a process of its own.
#include "confinement.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <thread>

#include "fakes/temp_dir.h"
#include "mtastsd/base/fd.h"
#include "privileges.h"
#include "sanitizers.h"

namespace mtastsd::daemon {
namespace {

class ConfinementTest : public testing::Test {
 protected:
  // What `check` returns is empty, or what is wrong. A hang ends with SIGALRM.
  void confined(const std::function<std::string()>& check) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      drop_capabilities();
      done_ = confine(cache_, {dir_.path()});
      const std::string wrong = check();
      if (!wrong.empty()) {
        std::fprintf(stderr, "%s\n", wrong.c_str());
      }
      ::_exit(wrong.empty() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }

  const mtastsd::test::TempDir dir_;
  const std::string cache_ = dir_.path() + "/cache";
  const bool made_ = ::mkdir(cache_.c_str(), 0700) == 0;
  Confinement done_;
};

TEST_F(ConfinementTest, AForbiddenCallEndsInAnError) {
  if (kSanitized) {
    GTEST_SKIP() << "a sanitizer makes calls of its own";
  }
  confined([&]() -> std::string {
    if (!done_.seccomp) {
      return "";  // this kernel has none
    }
    char program[] = "/bin/true";
    char* const arguments[] = {program, nullptr};
    const struct {
      const char* name;
      std::function<long()> call;
    } calls[] = {
        {"execve", [&] { return static_cast<long>(::execv(program, arguments)); }},
        {"fork", [] { return static_cast<long>(::fork()); }},
        {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
        {"packets", [] { return static_cast<long>(::socket(AF_PACKET, SOCK_RAW, 0)); }},
        {"kill", [] { return static_cast<long>(::kill(::getppid(), 0)); }},
        {"chmod", [&] { return static_cast<long>(::chmod(cache_.c_str(), 0777)); }},
        {"setuid", [] { return static_cast<long>(::setuid(0)); }},
        {"io_uring", [] { return ::syscall(SYS_io_uring_setup, 8, nullptr); }},
        {"bpf", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
        {"unshare", [] { return ::syscall(SYS_unshare, 0x10000000); }},
    };
    for (const auto& [name, call] : calls) {
      errno = 0;
      if (call() != -1 || errno != ENOSYS) {
        return name;
      }
    }
    return "";
  });
}

TEST_F(ConfinementTest, FilesAreWrittenInTheCacheOnly) {
  std::ofstream(dir_.path() + "/outside") << "kept";
  std::ofstream(cache_ + "/inside") << "old";
  confined([&]() -> std::string {
    if (done_.landlock == 0) {
      return "";  // this kernel has none
    }
    const Fd outside(::open((dir_.path() + "/outside").c_str(), O_WRONLY));
    if (outside || errno != EACCES) {
      return "outside";
    }
    if (Fd(::open((dir_.path() + "/new").c_str(), O_WRONLY | O_CREAT, 0600))) {
      return "new outside";
    }
    if (!Fd(::open((dir_.path() + "/outside").c_str(), O_RDONLY))) {
      return "cannot read";
    }
    const Fd inside(::open((cache_ + "/inside").c_str(), O_RDWR | O_TRUNC));
    const Fd fresh(::open((cache_ + "/fresh").c_str(), O_RDWR | O_CREAT, 0600));
    if (!inside || !fresh || ::ftruncate(fresh.get(), 4096) != 0) {
      return "inside";
    }
    if (::rename((cache_ + "/fresh").c_str(), (cache_ + "/renamed").c_str()) != 0 ||
        ::unlink((cache_ + "/renamed").c_str()) != 0) {
      return "rename";
    }
    // A socket file is removed at the end.
    return ::unlink((dir_.path() + "/outside").c_str()) == 0 ? "" : "unlink";
  });
}

TEST_F(ConfinementTest, ThreadsSocketsAndMemoryWork) {
  confined([]() -> std::string {
    int value = 0;
    std::thread([&] { value = 1; }).join();
    if (value != 1) {
      return "thread";
    }
    for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
      if (!Fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0))) {
        return "socket";
      }
    }
    void* const memory =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED && ::munmap(memory, 4096) == 0 ? "" : "memory";
  });
}

TEST_F(ConfinementTest, NoCapabilityIsLeft) {
  confined([]() -> std::string {
    std::ifstream status("/proc/self/status");
    std::string none = "0000000000000000";
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("Cap") && line.find(none) == std::string::npos) {
        return line;
      }
      if (line.starts_with("NoNewPrivs") && line.back() != '1') {
        return line;
      }
    }
    rlimit core{};
    ::getrlimit(RLIMIT_CORE, &core);
    if (!kSanitized && ::prctl(PR_GET_DUMPABLE) == 1) {
      return "dumpable";
    }
    return core.rlim_max == 0 ? "" : "core dumps";
  });
}

}  // namespace
}  // namespace mtastsd::daemon
