#include "listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "fakes/temp_dir.h"
#include "sockets.h"

namespace mtastsd::daemon {
namespace {

using test::connect_to;
using test::unix_address;
using test::unix_listen;
using testing::HasSubstr;
using testing::StartsWith;

class ListenerTest : public testing::Test {
 protected:
  // Empty, or what is wrong.
  std::string open(const config::ListenAddress& address) {
    const auto opened = open_listeners(address, options_, passed_, listeners_);
    return opened ? std::string() : opened.error();
  }
  mode_t mode_of(const std::string& path) const {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
  }
  bool exists(const std::string& path) const {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0;
  }

  mtastsd::test::TempDir dir_;
  const std::string path_ = dir_.path() + "/sock";
  config::Socketmap options_;
  std::vector<PassedSocket> passed_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

TEST_F(ListenerTest, AUnixSocketHasTheModeAskedForAndIsRemovedAtTheEnd) {
  options_.socket_mode = 0622;
  EXPECT_EQ(open(unix_listen(path_)), "");
  EXPECT_EQ(mode_of(path_), 0622U);
  EXPECT_EQ(listeners_.at(0)->name(), "unix:" + path_);
  const int fd = connect_to(path_);
  EXPECT_GE(fd, 0);
  close(fd);
  listeners_.clear();
  EXPECT_FALSE(exists(path_));
}

TEST_F(ListenerTest, ASocketThatWasLeftBehindIsReplaced) {
  const int left = socket(AF_UNIX, SOCK_STREAM, 0);
  const sockaddr_un address = unix_address(path_);
  ASSERT_EQ(bind(left, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(left);
  EXPECT_EQ(open(unix_listen(path_)), "");
  const int fd = connect_to(path_);
  EXPECT_GE(fd, 0);
  close(fd);
}

TEST_F(ListenerTest, ASocketThatSomebodyAnswersAtIsRefused) {
  EXPECT_EQ(open(unix_listen(path_)), "");
  EXPECT_THAT(open(unix_listen(path_)), HasSubstr("another server answers there"));
  EXPECT_TRUE(exists(path_));
}

// Of a socket that cannot be asked nobody knows whether it is in use.
TEST_F(ListenerTest, ASocketOfAnotherTypeIsRefused) {
  const int other = socket(AF_UNIX, SOCK_DGRAM, 0);
  const sockaddr_un address = unix_address(path_);
  ASSERT_EQ(bind(other, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_NE(open(unix_listen(path_)), "");
  EXPECT_TRUE(exists(path_));
  close(other);
}

TEST_F(ListenerTest, AFileOfAnotherKindIsRefusedAndKept) {
  std::ofstream(path_) << "mine";
  EXPECT_THAT(open(unix_listen(path_)), StartsWith("cannot listen on unix:" + path_ + ": "));
  EXPECT_TRUE(exists(path_));
}

TEST_F(ListenerTest, ASocketThatSomebodyElseMadeSinceIsKept) {
  EXPECT_EQ(open(unix_listen(path_)), "");
  ASSERT_EQ(unlink(path_.c_str()), 0);
  std::ofstream(path_) << "theirs";
  listeners_.clear();
  EXPECT_TRUE(exists(path_));
}

TEST_F(ListenerTest, NamesThatTheSystemDoesNotKnowAreNamed) {
  options_.socket_owner = "no-such-user";
  EXPECT_THAT(open(unix_listen(path_)), HasSubstr("no-such-user"));
  options_.socket_owner.clear();
  options_.socket_group = "no-such-group";
  EXPECT_THAT(open(unix_listen(path_)), HasSubstr("no-such-group"));
  EXPECT_FALSE(exists(path_));
}

TEST_F(ListenerTest, APathThatIsTooLongIsRefused) {
  EXPECT_THAT(open(unix_listen("/" + std::string(200, 'x'))), HasSubstr("longer"));
}

TEST_F(ListenerTest, ADirectoryThatIsNotThereIsMadeButNotItsParent) {
  EXPECT_EQ(open(unix_listen(dir_.path() + "/made/sock")), "");
  EXPECT_THAT(open(unix_listen(dir_.path() + "/not/made/sock")), HasSubstr("create its directory"));
}

TEST_F(ListenerTest, PortZeroIsShownAsThePortThatTheSystemChose) {
  config::ListenAddress address;
  address.host = "127.0.0.1";
  EXPECT_EQ(open(address), "");
  EXPECT_THAT(listeners_.at(0)->name(), StartsWith("inet:127.0.0.1:"));
  const std::string port = listeners_[0]->name().substr(std::string("inet:127.0.0.1:").size());
  EXPECT_NE(port, "0");
  address.port = static_cast<std::uint16_t>(std::stoi(port));
  EXPECT_THAT(open(address), HasSubstr("is another mtastsd running?"));
}

TEST_F(ListenerTest, AHostThatCannotBeFoundIsNamed) {
  config::ListenAddress address;
  address.host = "no-such-host.invalid";
  EXPECT_THAT(open(address), HasSubstr("no-such-host.invalid"));
}

}  // namespace
}  // namespace mtastsd::daemon
