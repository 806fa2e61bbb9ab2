#include "activation.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <functional>

#include "fakes/temp_dir.h"
#include "listener.h"
#include "open_sockets.h"
#include "sockets.h"

namespace mtastsd::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

int listening(const std::string& path, int type = SOCK_STREAM, bool listens = true) {
  const int fd = ::socket(AF_UNIX, type, 0);
  const sockaddr_un address = test::unix_address(path);
  ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (listens) {
    ::listen(fd, 8);
  }
  return fd;
}

class ActivationTest : public testing::Test {
 protected:
  // In a process of its own, which has `sockets` as its descriptors from 3 on. What `check` returns
  // is empty, or what is wrong.
  static void in_child(const std::vector<int>& sockets, const char* count, long pid,
                       const std::function<std::string(PassedSockets)>& check) {
    const pid_t child = ::fork();
    if (child == 0) {
      std::vector<int> high;
      for (const int fd : sockets) {
        high.push_back(::fcntl(fd, F_DUPFD, 200));
      }
      int next = 3;
      for (const int fd : high) {
        ::dup2(fd, next++);
      }
      ::setenv("LISTEN_FDS", count, 1);
      ::setenv("LISTEN_PID", std::to_string(pid == 0 ? ::getpid() : pid).c_str(), 1);
      const std::string wrong = check(take_passed_sockets());
      if (!wrong.empty()) {
        std::fprintf(stderr, "%s\n", wrong.c_str());
      }
      ::_exit(wrong.empty() && std::getenv("LISTEN_FDS") == nullptr ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }

  const mtastsd::test::TempDir dir_;
};

TEST_F(ActivationTest, TakesOverWhatListens) {
  const Fd good(listening(dir_.path() + "/good"));
  in_child({good.get()}, "1", 0, [&](const PassedSockets& passed) -> std::string {
    if (passed.sockets.size() != 1 || !passed.unusable.empty()) {
      return "not taken";
    }
    const int fd = passed.sockets[0].fd.get();
    if (passed.sockets[0].name != "unix:" + dir_.path() + "/good") {
      return passed.sockets[0].name;
    }
    return ::fcntl(fd, F_GETFD) == FD_CLOEXEC && (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 ? ""
                                                                                          : "flags";
  });
}

// mtastsd-http.socket calls its socket "http". Without a [http] listen it is for the pages, and
// never for Postfix.
TEST_F(ActivationTest, ASocketCalledHttpIsForThePages) {
  const Fd port(listening(dir_.path() + "/port"));
  const Fd pages(listening(dir_.path() + "/pages"));
  ::setenv("LISTEN_FDNAMES", "port:http", 1);
  in_child({port.get(), pages.get()}, "2", 0, [&](PassedSockets passed) -> std::string {
    config::Config config = config::defaults();
    config.socketmap.listen[0].port = 0;
    config.control.socket.clear();
    auto named = config;
    named.http.listen = {test::unix_listen(dir_.path() + "/elsewhere")};
    std::vector<PassedSocket> http;
    http.push_back({Fd(::dup(passed.sockets.at(1).fd.get())), passed.sockets[1].name, "http"});
    const auto kept = open_sockets(named, {std::move(http), {}}, "");
    if (!kept || kept->unused.size() != 1 || kept->http.size() != 1) {
      return "a socket that [http] listen does not name was used";
    }
    const auto open = open_sockets(config, std::move(passed), "");
    if (!open || open->http.size() != 1 ||
        open->http[0]->name() != "unix:" + dir_.path() + "/pages") {
      return "not taken for the pages";
    }
    return open->unused.size() <= 1 ? "" : "more is unused";
  });
  ::unsetenv("LISTEN_FDNAMES");
}

TEST_F(ActivationTest, WhatIsNoListeningStreamSocketIsNamed) {
  const Fd silent(listening(dir_.path() + "/silent", SOCK_STREAM, false));
  const Fd datagram(listening(dir_.path() + "/datagram", SOCK_DGRAM, false));
  const Fd file(::open("/dev/null", O_RDONLY));
  in_child({silent.get(), datagram.get(), file.get()}, "3", 0, [](const PassedSockets& passed) {
    return passed.sockets.empty() && passed.unusable.size() == 3 ? "" : "taken";
  });
}

TEST_F(ActivationTest, WhatIsMeantForAnotherProcessIsLeftAlone) {
  const Fd good(listening(dir_.path() + "/good"));
  const auto nothing = [](const PassedSockets& passed) {
    return passed.sockets.empty() && passed.unusable.empty() && ::fcntl(3, F_GETFD) >= 0 ? ""
                                                                                         : "taken";
  };
  in_child({good.get()}, "1", 1, nothing);
  for (const char* count : {"", "x", "0", "-1", "1x"}) {
    in_child({good.get()}, count, 0, nothing);
  }
}

TEST_F(ActivationTest, ASocketThatWasPassedTakesThePlaceOfANewOne) {
  const std::string path = dir_.path() + "/sock";
  std::vector<PassedSocket> passed;
  passed.push_back({Fd(listening(path)), "unix:" + path});
  passed.push_back({Fd(listening(dir_.path() + "/other")), "unix:" + dir_.path() + "/other"});
  std::vector<std::unique_ptr<Listener>> listeners;
  const int inode = passed[0].fd.get();
  const auto opened = open_listeners(test::unix_listen(path), {}, passed, listeners);
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_EQ(listeners.at(0)->fd(), inode);
  EXPECT_EQ(passed.size(), 1U);
  // The file belongs to the service manager.
  listeners.clear();
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

TEST_F(ActivationTest, APortIsRecognisedByItsAddress) {
  config::ListenAddress address;
  address.host = "127.0.0.1";
  std::vector<PassedSocket> passed;
  std::vector<std::unique_ptr<Listener>> listeners;
  ASSERT_TRUE(open_listeners(address, {}, passed, listeners));
  const std::string name = listeners[0]->name();
  address.port = static_cast<std::uint16_t>(std::stoi(name.substr(name.rfind(':') + 1)));
  passed.push_back(
      {Fd(::fcntl(listeners[0]->fd(), F_DUPFD_CLOEXEC, 0)), bound_name(listeners[0]->fd())});
  listeners.clear();
  ASSERT_TRUE(open_listeners(address, {}, passed, listeners));
  EXPECT_TRUE(passed.empty());
  EXPECT_EQ(listeners.at(0)->name(), name);
}

}  // namespace
}  // namespace mtastsd::daemon
