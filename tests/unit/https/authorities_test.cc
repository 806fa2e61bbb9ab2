#include "mtastsd/https/authorities.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "fakes/fake_loop.h"
#include "mtastsd/log/log.h"
#include "test_ca.h"

namespace mtastsd::https {
namespace {

using std::chrono::hours;

std::size_t warnings_in(const std::string& text) {
  std::size_t found = 0;
  for (auto at = text.find("event=ca_file_unreadable"); at != std::string::npos;
       at = text.find("event=ca_file_unreadable", at + 1)) {
    ++found;
  }
  return found;
}

TEST(SystemCaFile, IsTheOneOfTheEnvironment) {  // as for OpenSSL itself
  const char* const before = std::getenv("SSL_CERT_FILE");
  const std::string kept = before == nullptr ? "" : before;
  setenv("SSL_CERT_FILE", "/tmp/authorities.pem", 1);
  EXPECT_EQ(system_ca_file(), "/tmp/authorities.pem");
  setenv("SSL_CERT_FILE", "", 1);
  EXPECT_NE(system_ca_file(), "");
  EXPECT_EQ(access(system_ca_file().c_str(), R_OK), 0);
  setenv("SSL_CERT_FILE", kept.c_str(), 1);
}

TEST(Authorities, OfADirectoryTheHashedFilesCount) {
  const std::string path = testing::TempDir() + "mtastsd_hashed_" + std::to_string(getpid());
  std::filesystem::create_directory(path);
  const test::Identity root = test::make_root("Root");
  test::write_pem(path + "/root.pem", root.cert.get());
  EXPECT_EQ(problem_with_ca_file(path),
            path + " has no certificates under their hashes: \"openssl rehash " + path +
                "\" makes the links");
  std::filesystem::create_symlink("root.pem", path + "/0123abcd.0");
  EXPECT_EQ(problem_with_ca_file(path), "");
  std::filesystem::remove_all(path);
}

// On virtual time.
TEST(AuthoritiesWatch, SaysEveryTenMinutesThatTheFileCannotBeRead) {
  const std::string path = testing::TempDir() + "mtastsd_watched_" + std::to_string(getpid());
  std::remove(path.c_str());
  mtastsd::test::FakeLoop loop;
  Log log{LogOptions{}};
  Authorities authorities(path);
  const auto expect_more = [&](std::size_t more, const char* when) {
    log.flush();
    EXPECT_EQ(warnings_in(testing::internal::GetCapturedStderr()), more) << when;
    testing::internal::CaptureStderr();
  };

  testing::internal::CaptureStderr();
  const AuthoritiesWatch watch(loop, log, authorities);
  expect_more(1, "at the start");
  loop.advance(AuthoritiesWatch::kEvery - Milliseconds(1));
  expect_more(0, "within ten minutes");
  loop.advance(Milliseconds(1));
  expect_more(1, "after ten minutes");
  loop.advance(hours(2));
  expect_more(12, "in two hours");

  test::write_pem(path, test::make_root("test root").cert.get());
  loop.advance(hours(2));
  expect_more(0, "while it can be read");
  EXPECT_NE(authorities.store(), nullptr);
  std::remove(path.c_str());
  loop.advance(AuthoritiesWatch::kEvery);
  expect_more(1, "when it is gone again");
  EXPECT_NE(authorities.store(), nullptr) << "what was read before stays in use";
  testing::internal::GetCapturedStderr();
}

}  // namespace
}  // namespace mtastsd::https
