#include "alarms.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "alarm_runner.h"
#include "fakes/fake_loop.h"
#include "fakes/temp_dir.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"

namespace mtastsd::daemon {
namespace {

using testing::HasSubstr;

class AlarmsTest : public testing::Test {
 protected:
  AlarmsTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    runner_.reset(ends[1]);
    alarms_ = std::make_unique<Alarms>(loop_, clock_, log_, Fd(ends[0]));
  }

  // What the runner got next.
  std::optional<nlohmann::json> document() {
    std::array<char, kMaxDocumentBytes> bytes;
    const ssize_t size = ::recv(runner_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    return size > 0 ? std::optional(nlohmann::json::parse(bytes.data(), bytes.data() + size))
                    : std::nullopt;
  }
  void refresh_fails(const std::string& domain, int expires_in_s = 500000) {
    log_.write(Event::RefreshFailing, {{"domain", domain},
                                       {"result", "sts-policy-fetch-error"},
                                       {"reason", "a \"quote\"\n"},
                                       {"failures", 3},
                                       {"expires_in_s", expires_in_s}});
  }

  event::Loop loop_;
  test::FakeClock clock_;
  Log log_ = Log::null();
  Fd runner_;
  std::unique_ptr<Alarms> alarms_;
};

TEST_F(AlarmsTest, AnEventBecomesADocument) {
  refresh_fails("a.example");
  const auto it = document();
  ASSERT_TRUE(it);
  EXPECT_EQ((*it)["alarm"], "refresh-fails");
  EXPECT_EQ((*it)["event"], "refresh_failing");
  EXPECT_EQ((*it)["domain"], "a.example");
  EXPECT_EQ((*it)["failures"], 3);
  EXPECT_EQ((*it)["left_out"], 0);
  log_.write(Event::PolicyExpired, {{"domain", "a.example"}});  // no alarm
  EXPECT_FALSE(document());
}

TEST_F(AlarmsTest, ThatThePolicyEndsSoonIsSaid) {
  refresh_fails("a.example", 2 * 86400);
  EXPECT_EQ((*document())["alarm"], "policy-ends-soon");
  refresh_fails("b.example", 2 * 86400 + 1);
  EXPECT_EQ((*document())["alarm"], "refresh-fails");
}

TEST_F(AlarmsTest, TheSameIsNotRepeatedForAWhile) {
  refresh_fails("a.example");
  EXPECT_TRUE(document());
  refresh_fails("a.example");
  EXPECT_FALSE(document());
  refresh_fails("b.example");
  EXPECT_TRUE(document());
  clock_.advance(Alarms::kQuiet);
  refresh_fails("a.example");
  EXPECT_TRUE(document());
}

TEST_F(AlarmsTest, AKindIsBoundedAndWhatIsLeftOutIsCounted) {
  for (unsigned i = 0; i < Alarms::kMostAnHour + 5; ++i) {
    refresh_fails("d" + std::to_string(i) + ".example");
  }
  for (unsigned i = 0; i < Alarms::kMostAnHour; ++i) {
    EXPECT_EQ((*document())["left_out"], 0);
  }
  EXPECT_FALSE(document());
  log_.write(Event::CacheFull, {{"dropped", 1}, {"max_size", 2}});
  EXPECT_EQ((*document())["alarm"], "cache-trouble") << "another kind has its own budget";
  clock_.advance(std::chrono::hours(1));
  refresh_fails("late.example");
  EXPECT_EQ((*document())["left_out"], 5);
  refresh_fails("later.example");
  EXPECT_EQ((*document())["left_out"], 0);
}

TEST_F(AlarmsTest, ARunnerThatHangsBlocksNobody) {
  const auto began = std::chrono::steady_clock::now();
  for (int hour = 0; hour < 100; ++hour) {
    for (unsigned i = 0; i < Alarms::kMostAnHour; ++i) {
      refresh_fails("d" + std::to_string(hour) + "-" + std::to_string(i) + ".example");
    }
    clock_.advance(std::chrono::hours(1));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  while (document()) {
  }
  refresh_fails("last.example");
  EXPECT_GT((*document())["left_out"], 100);
}

TEST_F(AlarmsTest, ARunnerThatIsGoneIsSaidOnce) {
  int said = 0;
  std::string reason;
  const auto watcher = log_.watch(LogLevel::Warn, [&](const EventRow& row, Log::Fields fields) {
    said += row.id == Event::AlarmFailed ? 1 : 0;
    reason = row.id == Event::AlarmFailed ? std::string(fields.begin()->text) : reason;
  });
  ASSERT_GT(::send(runner_.get(), "was ended", 9, 0), 0);
  const auto run_some = [this] {
    auto timer = loop_.make_timer([this] { loop_.stop(); });
    timer->arm(Milliseconds(50));
    loop_.run();
  };
  run_some();
  run_some();
  EXPECT_EQ(reason, "was ended");
  runner_.reset();
  run_some();
  run_some();
  EXPECT_EQ(said, 2);
  EXPECT_THAT(reason, HasSubstr("restart mtastsd"));
  refresh_fails("a.example");  // does nothing
}

// --- the command ------------------------------------------------------------------------------

class AlarmCommandTest : public testing::Test {
 protected:
  std::string script(const std::string& text) {
    const std::string path = dir_.path() + "/command";
    std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
    EXPECT_EQ(::chmod(path.c_str(), 0755), 0);
    return path;
  }
  std::string run(const std::string& text, Milliseconds limit = Milliseconds(20000)) {
    return run_alarm_command({script(text), dir_.path() + "/out", "two words"}, "{\"a\":1}\n",
                             limit);
  }
  std::string out() const {
    std::ifstream file(dir_.path() + "/out");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void TearDown() override { std::signal(SIGCHLD, SIG_DFL); }

  test::TempDir dir_;
};

TEST_F(AlarmCommandTest, GetsTheDocumentAndItsArgumentsWithoutAShell) {
  EXPECT_EQ(run("cat > \"$1\"; printf %s \"$2\" >> \"$1\""), "");
  EXPECT_EQ(out(), "{\"a\":1}\ntwo words");
}

TEST_F(AlarmCommandTest, HasNoOtherDescriptorsAndNoEnvironment) {
  ::setenv("MTASTSD_HTTPS_PROXY", "http://secret@proxy:3128", 1);
  constexpr int kOfNoShell = 77;
  const int leak = ::fcntl(0, F_DUPFD, kOfNoShell);  // without O_CLOEXEC
  EXPECT_EQ(run("{ ls /proc/$$/fd | tr '\\n' ' '; env; } > \"$1\""), "");
  ::close(leak);
  ::unsetenv("MTASTSD_HTTPS_PROXY");
  EXPECT_EQ(out().find("secret"), std::string::npos) << out();
  EXPECT_EQ(out().find(std::to_string(leak) + " "), std::string::npos) << out();
}

TEST_F(AlarmCommandTest, OneThatHangsIsKilledWithItsChildren) {
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THAT(run("sleep 60 & echo $! > \"$1\"; sleep 60", Milliseconds(1000)),
              HasSubstr("did not end within 1 s and was killed"));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20));
  // A zombie of somebody else's has no command line.
  std::string line;
  for (int i = 0; i < 500; ++i) {
    std::ifstream file("/proc/" + std::to_string(std::stoi(out())) + "/cmdline");
    line.assign(std::istreambuf_iterator<char>(file), {});
    if (line.empty()) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(line, "");
}

TEST_F(AlarmCommandTest, ItsOutputIsThrownAway) {
  EXPECT_EQ(run("head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2"), "");
}

TEST_F(AlarmCommandTest, WhatWasWrongIsSaid) {
  EXPECT_EQ(run("exit 3"), "ended with status 3");
  EXPECT_EQ(run("kill -TERM $$"), "was ended by signal 15");
  EXPECT_EQ(run_alarm_command({"/nonexistent/notify"}, "", Milliseconds(1000)),
            "cannot be run: No such file or directory");
  std::ofstream(dir_.path() + "/text") << "no program";
  EXPECT_EQ(run_alarm_command({dir_.path() + "/text"}, "", Milliseconds(1000)),
            "cannot be run: Permission denied");
}

TEST_F(AlarmCommandTest, TheRunnerTakesDocumentsUntilItsSocketIsClosed) {
  auto runner = start_alarm_runner({script("cat >> \"$1\"; exit 4"), dir_.path() + "/out"});
  ASSERT_TRUE(runner);
  const auto report = [&] {
    std::array<char, 100> text;
    for (int i = 0; i < 2000; ++i) {
      const ssize_t size = ::recv(runner->get(), text.data(), text.size(), 0);
      if (size > 0) {
        return std::string(text.data(), static_cast<std::size_t>(size));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return std::string("nothing");
  };
  for (const char* text : {"1\n", "2\n"}) {
    ASSERT_EQ(::send(runner->get(), text, 2, 0), 2);
    EXPECT_EQ(report(), "ended with status 4");
  }
  EXPECT_EQ(out(), "1\n2\n");
  *runner = Fd();
  auto missing = start_alarm_runner({"/nonexistent/notify"});
  ASSERT_TRUE(missing);
  std::swap(*runner, *missing);
  EXPECT_EQ(report(), "cannot be run: No such file or directory") << "at once";
}

}  // namespace
}  // namespace mtastsd::daemon
