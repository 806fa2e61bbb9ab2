#include "supervisor.h"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "fakes/temp_dir.h"
#include "sockets.h"

namespace mtastsd::daemon {
namespace {

// A service manager at `name`; "@" begins an abstract one.
class Manager {
 public:
  explicit Manager(const std::string& name) : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = test::unix_address(name);
    if (name.front() == '@') {
      address.sun_path[0] = '\0';
    }
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
    const timeval limit{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Manager() {
    unsetenv("NOTIFY_SOCKET");
    close(fd_);
  }
  std::string heard() const {
    std::array<char, 100> bytes{};
    const ssize_t got = recv(fd_, bytes.data(), bytes.size(), 0);
    return got < 0 ? "nothing" : std::string(bytes.data(), static_cast<std::size_t>(got));
  }

 private:
  const int fd_;
};

TEST(Supervisor, IsToldAtAPath) {
  const mtastsd::test::TempDir dir;
  const Manager manager(dir.path() + "/notify");
  EXPECT_TRUE(tell_supervisor("READY=1"));
  EXPECT_EQ(manager.heard(), "READY=1");
}

TEST(Supervisor, IsToldAtAnAbstractName) {
  const Manager manager("@mtastsd-unit-" + std::to_string(getpid()));
  EXPECT_TRUE(tell_supervisor("STOPPING=1"));
  EXPECT_EQ(manager.heard(), "STOPPING=1");
}

TEST(Supervisor, WhereThereIsNoneNothingIsSaid) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(tell_supervisor("READY=1"));
  setenv("NOTIFY_SOCKET", "", 1);
  EXPECT_TRUE(tell_supervisor("READY=1"));
  unsetenv("NOTIFY_SOCKET");
}

TEST(Supervisor, OneThatCannotBeToldIsNoticed) {
  const mtastsd::test::TempDir dir;
  for (const std::string& name :
       {dir.path() + "/nobody", std::string("@mtastsd-nobody"), std::string("@"),
        std::string("relative"), "/" + std::string(200, 'x')}) {
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    EXPECT_FALSE(tell_supervisor("READY=1")) << name;
  }
  unsetenv("NOTIFY_SOCKET");
}

TEST(Supervisor, AReloadHasATime) {
  const std::string first = reloading_state();
  EXPECT_TRUE(first.starts_with("RELOADING=1\nMONOTONIC_USEC=")) << first;
  usleep(1000);
  EXPECT_NE(reloading_state(), first);
}

TEST(WatchdogLimit, IsForTheProcessThatIsNamed) {
  const auto limit = [](const char* micros, const std::string& pid) {
    setenv("WATCHDOG_USEC", micros, 1);
    setenv("WATCHDOG_PID", pid.c_str(), 1);
    const auto found = watchdog_limit();
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return found;
  };
  const std::string self = std::to_string(getpid());
  EXPECT_EQ(limit("60000000", self), Milliseconds(60000));
  EXPECT_EQ(limit("60000000", ""), Milliseconds(60000));
  EXPECT_EQ(limit("60000000", "1"), std::nullopt);
  for (const char* bad : {"", "0", "-1", "1x", "999"}) {
    EXPECT_EQ(limit(bad, self), std::nullopt) << bad;
  }
  EXPECT_EQ(watchdog_limit(), std::nullopt);
}

}  // namespace
}  // namespace mtastsd::daemon
