// The whole daemon in this process, with its signals.
#include "daemon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "fakes/temp_dir.h"
#include "mtastsd/log/log.h"
#include "mtastsd/socketmap/client.h"
#include "sockets.h"

namespace mtastsd::daemon {
namespace {

using testing::HasSubstr;

class DaemonTest : public testing::Test {
 protected:
  void write(const std::string& more = "") const {
    std::ofstream(path_) << "[socketmap]\nlisten = [\"unix:" << dir_.path() << "/sock\"]\n"
                         << "threads = 2\n[dns]\nservers = [\"127.0.0.1:1\"]\n"
                         << "[cache]\ndirectory = \"" << dir_.path() << "/cache\"\n"
                         << "[control]\nsocket = \"" << dir_.path() << "/control\"\n"
                         << more;
  }
  config::Config load() const { return *config::load(path_); }
  Result<std::unique_ptr<Daemon>, std::string> start() {
    auto sockets = open_sockets(load(), {}, "");
    if (!sockets) {
      return failure(std::move(sockets.error()));
    }
    return Daemon::start(load(), path_, std::move(*sockets), log_);
  }
  std::string ask(const std::string& key) const {
    auto client = socketmap::Client::connect(test::unix_listen(dir_.path() + "/sock"));
    if (!client || !client->send("postfix", key)) {
      return "nothing";
    }
    return client->receive().value_or("nothing");
  }

  const mtastsd::test::TempDir dir_;
  const std::string path_ = dir_.path() + "/mtastsd.toml";
  Log log_ = Log::null();
};

TEST_F(DaemonTest, AnswersReloadsAndStops) {
  write();
  auto daemon = start();
  ASSERT_TRUE(daemon) << daemon.error();
  std::thread operator_([&] {
    for (int connection = 0; connection < 4; ++connection) {
      EXPECT_EQ(ask(".example"), "NOTFOUND ");
    }
    // A reload with a mistake in the file, and one without, change nothing here.
    std::ofstream(path_) << "[nothing]\n";
    kill(getpid(), SIGHUP);
    EXPECT_EQ(ask(".example"), "NOTFOUND ");
    write("[log]\nformat = \"json\"\n");
    kill(getpid(), SIGHUP);
    EXPECT_EQ(ask(".example"), "NOTFOUND ");
    kill(getpid(), SIGTERM);
  });
  (*daemon)->run();
  operator_.join();
  daemon->reset();
  EXPECT_EQ(test::connect_to(dir_.path() + "/sock"), -1);
  EXPECT_EQ(test::connect_to(dir_.path() + "/control"), -1);
}

TEST_F(DaemonTest, ASignalBeforeItRunsIsNotLost) {
  write();
  auto daemon = start();
  ASSERT_TRUE(daemon) << daemon.error();
  raise(SIGTERM);
  (*daemon)->run();
}

TEST_F(DaemonTest, WithoutItsCaFileItStartsAllTheSame) {
  write("[https]\nca_file = \"/nonexistent.pem\"\n");
  EXPECT_TRUE(start());
  const auto checked = check_environment(load());
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error(), HasSubstr("cannot read /nonexistent.pem: No such file"));
}

TEST_F(DaemonTest, ASecondOneIsRefused) {
  write();
  const auto first = start();
  ASSERT_TRUE(first);
  const auto second = start();
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), HasSubstr("another server answers there"));
}

}  // namespace
}  // namespace mtastsd::daemon
