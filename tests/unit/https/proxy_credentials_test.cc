#include "mtastsd/https/proxy_credentials.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace mtastsd::https {
namespace {

class ProxyCredentialsTest : public testing::Test {
 protected:
  ~ProxyCredentialsTest() override { std::remove(path_.c_str()); }

  // "" if there is no error.
  std::string error(const std::string& text, mode_t mode = 0640) {
    std::ofstream(path_) << text;
    EXPECT_EQ(::chmod(path_.c_str(), mode), 0);
    const auto read = read_proxy_credentials(path_);
    return read ? "" : read.error();
  }

  const std::string path_ = testing::TempDir() + "mtastsd_credentials_" + std::to_string(getpid());
};

TEST_F(ProxyCredentialsTest, AreTheFirstLine) {
  EXPECT_EQ(error("me:pass:word\nmore\n"), "");
  EXPECT_EQ(read_proxy_credentials(path_).value(), "me:pass:word");
  EXPECT_EQ(read_proxy_credentials("").value(), "");
}

TEST_F(ProxyCredentialsTest, MustNotBeOpenToOthers) {
  for (const mode_t mode : {0644, 0602, 0601}) {
    EXPECT_EQ(error("me:word\n", mode),
              path_ + " is open to every user of this host: \"chmod o= " + path_ + "\"");
  }
}

TEST_F(ProxyCredentialsTest, MustBeAUserAndAPassword) {
  for (const char* text : {"", "me\n", ":word\n", "me:\x1bword\n"}) {
    EXPECT_EQ(error(text), path_ + " must begin with a line USER:PASSWORD") << text;
  }
  std::remove(path_.c_str());
  EXPECT_EQ(read_proxy_credentials(path_).error(),
            "cannot read " + path_ + ": No such file or directory");
}

}  // namespace
}  // namespace mtastsd::https
