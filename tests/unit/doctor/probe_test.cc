#include "probe.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "fakes/temp_dir.h"

namespace mtastsd::doctor {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

// Two self-signed certificates: one until 2126, one that ended in 2020.
constexpr char kAlive[] = R"(-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUQdgpta0JQCzrq/6PkkclbAj02YowCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFYWxpdmUwIBcNMjYxMTIyMjIxMjQ1WhgPMjEyNjEwMjkyMjEy
NDVaMBAxDjAMBgNVBAMMBWFsaXZlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
Rm/TDV0TNkO/iMHpcZoI88WrofzHSNsA+TJrPm3nrsVKKwY/jMZ8T2rAkfSc9lzj
Zekfi4CtR9uN991VYGyOcaNTMFEwHQYDVR0OBBYEFHmef524Wiqs/NRWIiOsjnNK
peAmMB8GA1UdIwQYMBaAFHmef524Wiqs/NRWIiOsjnNKpeAmMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAMlxETdQ3tdYUq9eKcXmx1GKECdGaPIi
XhtJ+7CDhhmGAiBEDH3O4q1EXUSxz2cGPXT9UVX82A8eoK6VJ67FVtBX4Q==
-----END CERTIFICATE-----
)";
constexpr char kExpired[] = R"(-----BEGIN CERTIFICATE-----
MIIBCjCBsgIBATAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdleHBpcmVkMB4XDTE5
MDEwMTAwMDAwMFoXDTIwMDEwMTAwMDAwMFowEjEQMA4GA1UEAwwHZXhwaXJlZDBZ
MBMGByqGSM49AgEGCCqGSM49AwEHA0IABEZv0w1dEzZDv4jB6XGaCPPFq6H8x0jb
APkyaz5t567FSisGP4zGfE9qwJH0nPZc42XpH4uArUfbjffdVWBsjnEwCgYIKoZI
zj0EAwIDRwAwRAIgBelF5J4ZmCMBRLe0nU83klEVTTkwnJMnL/T2vrMvtT0CIET6
H/UGE+X29vyVpqou+XSCwUqOj1QVW0idMsveUuyu
-----END CERTIFICATE-----
)";

TEST(LookAtCaFile, CountsWhatIsValid) {
  const test::TempDir directory;
  const fs::path file = fs::path(directory.path()) / "ca.pem";
  write(file, std::string("# a comment\n") + kAlive + "\n# another\n" + kExpired);
  const Authorities found = look_at_ca_file(file);
  EXPECT_EQ(found.reason, "");
  EXPECT_EQ(found.usable, 1);
  EXPECT_EQ(found.expired, 1);
}

TEST(LookAtCaFile, SaysWhyThereIsNone) {
  const test::TempDir directory;
  const fs::path file = fs::path(directory.path()) / "ca.pem";
  EXPECT_EQ(look_at_ca_file(file).reason, "No such file or directory");
  write(file, "");
  EXPECT_EQ(look_at_ca_file(file).reason, "has no certificate in it");
  std::string broken = kAlive;
  broken[broken.size() / 2] = '*';
  write(file, std::string(kAlive) + broken);
  EXPECT_EQ(look_at_ca_file(file).reason, "has something in it that is not a certificate");
}

TEST(LookAtCaPath, CountsHashedNamesAsTheChrootSeesThem) {
  const test::TempDir directory;
  const fs::path root = directory.path();
  fs::create_directories(root / "certs");
  fs::create_directories(root / "share");
  write(root / "share/one.pem", kAlive);
  write(root / "certs/two.pem", kAlive);
  fs::create_symlink("two.pem", root / "certs/5ed36f99.0");
  fs::create_symlink("/share/one.pem", root / "certs/0a0a0a0a.12");
  fs::create_symlink("/share/gone.pem", root / "certs/0b0b0b0b.0");
  fs::create_symlink("0c0c0c0c.0", root / "certs/0c0c0c0c.0");
  EXPECT_EQ(look_at_ca_path(root, "/certs").usable, 2);
  EXPECT_EQ(look_at_ca_path("", root / "certs").usable, 1);
  EXPECT_EQ(look_at_ca_path(root, "/gone").reason, "No such file or directory");
}

class TrySocket : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) {
      GTEST_SKIP() << "needs root to become another user";
    }
    queue_ = directory_.path();
    ::chmod(queue_.c_str(), 0755);
    fs::create_directories(queue_ / "run");
    ::chmod((queue_ / "run").c_str(), 0755);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket().string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(::listen(listener_, 5), 0);
    ::chmod(socket().c_str(), 0666);
  }
  void TearDown() override {
    if (listener_ >= 0) {
      ::close(listener_);
    }
  }
  fs::path socket() const { return queue_ / "run/policy.sock"; }
  SocketReach reach(const std::string& path, bool chroot) const {
    return try_socket({"nobody", queue_, chroot}, path);
  }

  test::TempDir directory_;
  fs::path queue_;
  int listener_ = -1;
};

TEST_F(TrySocket, PathsAreThoseOfTheProcess) {
  EXPECT_EQ(reach("run/policy.sock", true).error, 0);
  EXPECT_EQ(reach("run/policy.sock", false).error, 0);
  EXPECT_EQ(reach("/run/policy.sock", true).error, 0);
  EXPECT_EQ(reach(socket(), false).error, 0);
  EXPECT_EQ(reach(socket(), true).error, ENOENT);
}

TEST_F(TrySocket, SaysWhatIsInTheWay) {
  ::chmod(socket().c_str(), 0755);
  const SocketReach by_mode = reach("run/policy.sock", true);
  EXPECT_EQ(by_mode.error, EACCES);
  EXPECT_EQ(by_mode.blocked.at(0).path, socket());
  EXPECT_EQ(by_mode.blocked.at(0).mode, "0755 root:root");
  ::chmod(socket().c_str(), 0666);
  ::chmod((queue_ / "run").c_str(), 0700);
  const SocketReach by_directory = reach("run/policy.sock", false);
  EXPECT_EQ(by_directory.error, EACCES);
  EXPECT_EQ(by_directory.blocked.at(0).path, queue_ / "run");
  EXPECT_EQ(by_directory.blocked.at(0).mode, "0700 root:root");
}

TEST_F(TrySocket, ASocketThatNobodyServesRefuses) {
  ::close(listener_);
  listener_ = -1;
  EXPECT_EQ(reach("run/policy.sock", true).error, ECONNREFUSED);
}

TEST_F(TrySocket, AnUnknownUserIsAnError) {
  EXPECT_EQ(try_socket({"no-such-user", queue_, true}, "run/policy.sock").error, ESRCH);
}

}  // namespace
}  // namespace mtastsd::doctor
