#include "mtastsd/base/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "mtastsd/base/fd.h"

namespace mtastsd {
namespace {

bool is_open(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0;
}

TEST(Fd, ClosesWhatItOwns) {
  int raw = -1;
  {
    const Fd fd(::dup(STDIN_FILENO));
    raw = fd.get();
    EXPECT_TRUE(fd);
    EXPECT_TRUE(is_open(raw));
  }
  EXPECT_FALSE(is_open(raw));
  EXPECT_FALSE(Fd());
}

TEST(Fd, MovingHandsItOver) {
  Fd first(::dup(STDIN_FILENO));
  const int raw = first.get();
  Fd second(std::move(first));
  EXPECT_FALSE(first);
  EXPECT_EQ(second.get(), raw);
  second = Fd(::dup(STDIN_FILENO));
  EXPECT_FALSE(is_open(raw));
  const int kept = second.release();
  EXPECT_FALSE(second);
  EXPECT_TRUE(is_open(kept));
  ::close(kept);
}

TEST(Fd, ClosingLeavesErrno) {
  Fd fd(1 << 20);  // closing it fails
  errno = ECONNREFUSED;
  fd.reset();
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST(UnixAddress, HasRoomForSoMuch) {
  EXPECT_TRUE(UnixAddress::of(std::string(kMaxUnixPath, 'x')));
  EXPECT_FALSE(UnixAddress::of(std::string(kMaxUnixPath + 1, 'x')));
  EXPECT_FALSE(UnixAddress::of(""));
}

TEST(ConnectUnix, ConnectsOrSaysWhyNot) {
  char directory[] = "/tmp/unix_socket_test.XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/socket";
  EXPECT_FALSE(connect_unix(path, SOCK_STREAM));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_FALSE(connect_unix(std::string(200, 'x'), SOCK_STREAM));
  EXPECT_EQ(errno, ENAMETOOLONG);

  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = UnixAddress::of(path);
  ASSERT_TRUE(address);
  ASSERT_EQ(::bind(listener.get(), address->get(), address->size), 0);
  EXPECT_FALSE(connect_unix(path, SOCK_STREAM));
  EXPECT_EQ(errno, ECONNREFUSED);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_TRUE(connect_unix(path, SOCK_STREAM));
  ::unlink(path.c_str());
  ::rmdir(directory);
}

}  // namespace
}  // namespace mtastsd
