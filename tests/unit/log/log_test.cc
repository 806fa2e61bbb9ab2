#include "mtastsd/log/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "syslog_socket.h"

namespace mtastsd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    reader = ends[0];
    writer = ends[1];
    ::fcntl(writer, F_SETPIPE_SZ, 4096);
  }
  ~Pipe() {
    close_reader();
    ::close(writer);
  }
  void close_reader() {
    if (reader >= 0) {
      ::close(reader);
    }
    reader = -1;
  }
  // Puts in so much that the next byte has to wait; returns how much that was.
  std::size_t fill() {
    const int flags = ::fcntl(writer, F_GETFL);
    ::fcntl(writer, F_SETFL, flags | O_NONBLOCK);
    std::size_t size = 0;
    while (::write(writer, "#", 1) == 1) {
      ++size;
    }
    ::fcntl(writer, F_SETFL, flags);
    return size;
  }
  int reader = -1;
  int writer = -1;
};

// Makes `fd` the standard error for as long as it lives.
class StderrAs {
 public:
  explicit StderrAs(int fd) : saved_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
    ::dup2(fd, STDERR_FILENO);
  }
  ~StderrAs() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
  }

 private:
  int saved_;
};

// Reads until the text asked for has come, the writers are gone, or ten seconds have passed.
std::string read_until(int fd, const std::string& wanted) {
  std::string text;
  std::array<char, 65536> buffer;
  const auto deadline = steady_clock::now() + seconds(10);
  while (text.find(wanted) == std::string::npos && steady_clock::now() < deadline) {
    pollfd watched{fd, POLLIN, 0};
    if (::poll(&watched, 1, 100) <= 0) {
      continue;
    }
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  return lines;
}

// What a log with these options has written when `use` is done with it.
template <typename Use>
std::string stderr_of(const LogOptions& options, Use use) {
  char name[] = "/tmp/mtastsd-log-XXXXXX";
  const int file = ::mkstemp(name);
  {
    const StderrAs redirected(file);
    Log log(options);
    use(log);
  }
  ::lseek(file, 0, SEEK_SET);
  const std::string text = read_until(file, "no such text");
  ::close(file);
  ::unlink(name);
  return text;
}

// An event of each level.
constexpr Event kDebug = Event::PolicyImported;
constexpr Event kInfo = Event::PolicyExpired;
constexpr Event kWarn = Event::RestartNeeded;
constexpr Event kError = Event::NotStarted;

TEST(Log, WritesALineWithTimeAndLevel) {
  const std::string text = stderr_of({}, [](Log& log) {
    log.write(Event::Reloaded, {{"config", "/etc/m.toml"}});
  });
  EXPECT_TRUE(std::regex_match(
      text, std::regex(R"(ts=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info event=reloaded )"
                       R"(config=/etc/m\.toml message="The configuration was reloaded\.")"
                       "\n")))
      << text;
}

TEST(Log, TimesAreInUtcWhateverTheZoneOfTheMachine) {
  ::setenv("TZ", "Asia/Kathmandu", 1);
  ::tzset();
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const std::string text = stderr_of({}, [](Log& log) { log.write(Event::Stopping); });
  ::unsetenv("TZ");
  ::tzset();
  std::tm written{};
  ASSERT_NE(::strptime(text.c_str(), "ts=%Y-%m-%dT%H:%M:%S.", &written), nullptr) << text;
  EXPECT_LT(std::abs(::timegm(&written) - now), 60) << text;
}

TEST(Log, WritesJson) {
  const std::string text =
      stderr_of({LogLevel::Info, LogFormat::Json, LogTarget::Stderr}, [](Log& log) {
        log.write(Event::NotStarted, {{"reason", "\xff\n\""}});
      });
  ASSERT_TRUE(text.ends_with("}\n"));
  const auto object = nlohmann::json::parse(text);
  EXPECT_EQ(object.at("ts").get<std::string>().size(), 24u);
  EXPECT_EQ(object.at("level"), "error");
  EXPECT_EQ(object.at("event"), "not_started");
  EXPECT_EQ(object.at("reason"), "\\xff\n\"");
}

TEST(Log, LevelCanChangeWhileRunning) {
  const std::string text = stderr_of({}, [](Log& log) {
    log.write(kDebug, {{"domain", "d1"}, {"id", "1"}});
    log.set_level(LogLevel::Debug);
    EXPECT_TRUE(log.enabled(LogLevel::Debug));
    log.write(kDebug, {{"domain", "d2"}, {"id", "1"}});
    log.set_level(LogLevel::Error);
    log.write(kWarn, {{"setting", "w1"}});
    log.write(kError, {{"reason", "e1"}});
    log.set_level(LogLevel::Off);
    log.write(kError, {{"reason", "e2"}});
  });
  EXPECT_EQ(lines_of(text).size(), 2u) << text;
  EXPECT_NE(text.find("level=debug event=policy_imported domain=d2"), std::string::npos);
  EXPECT_NE(text.find("level=error event=not_started reason=e1"), std::string::npos);
}

#ifndef NDEBUG
TEST(Log, IsWatchedWhateverItsLevel) {
  Log log = Log::null();
  EXPECT_FALSE(log.wanted(LogLevel::Error));
  std::vector<std::string> all;
  std::vector<std::string> warnings;
  auto watcher = log.watch(LogLevel::Trace, [&](const EventRow& row, Log::Fields fields) {
    all.push_back(Log::json_of(row, fields));
  });
  const auto other = log.watch(
      LogLevel::Warn, [&](const EventRow& row, Log::Fields) { warnings.emplace_back(row.key); });
  EXPECT_TRUE(log.wanted(LogLevel::Trace));
  log.write(Event::QueryReceived, {{"domain", "a.example"}, {"map", "m"}, {"key", "k"}});
  log.write(kError, {{"reason", "why"}});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_TRUE(all.at(0).starts_with(R"("level":"trace","event":"query_received","domain":)"));
  EXPECT_EQ(warnings, std::vector<std::string>{"not_started"});
  watcher.reset();
  EXPECT_FALSE(log.wanted(LogLevel::Info));
  log.write(kError, {{"reason", "why"}});
  EXPECT_EQ(all.size(), 2U);
  EXPECT_EQ(warnings.size(), 2U);
}

TEST(LogDeathTest, FieldsThatAreNotInTheCatalogueAreAMistake) {
  Log log = Log::null();
  EXPECT_DEATH(log.write(kInfo, {{"name", "example.com"}}), "has_fields_of");
}
#endif

TEST(Log, DestructionWritesAllQueuedLinesInOrder) {
  const std::string text = stderr_of({}, [](Log& log) {
    for (int i = 0; i < 1200; ++i) {
      log.write(kInfo, {{"domain", i}});
    }
  });
  const auto lines = lines_of(text);
  ASSERT_EQ(lines.size(), 1200u);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ASSERT_TRUE(lines[i].find(" domain=" + std::to_string(i) + " ") != std::string::npos)
        << lines[i];
  }
}

TEST(Log, FlushReturnsWhenTheLinesAreWritten) {
  char name[] = "/tmp/mtastsd-log-XXXXXX";
  const int file = ::mkstemp(name);
  const StderrAs redirected(file);
  Log log{LogOptions{}};
  for (int i = 1; i <= 50; ++i) {
    log.write(Event::Stopping);
    log.flush();
    ::lseek(file, 0, SEEK_SET);
    ASSERT_EQ(lines_of(read_until(file, "no such text")).size(), static_cast<std::size_t>(i));
  }
  ::close(file);
  ::unlink(name);
}

TEST(Log, ManyThreadsLogWholeLines) {
  const std::string text = stderr_of({}, [](Log& log) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log, t] {
        for (int i = 0; i < 300; ++i) {
          log.write(kInfo, {{"domain", 1000 * t + i}});
        }
      });
    }
    for (auto& thread : threads) {
      thread.join();
    }
  });
  const auto lines = lines_of(text);
  EXPECT_EQ(lines.size(), 1200u);
  for (const auto& line : lines) {
    ASSERT_TRUE(line.starts_with("ts=20")) << line;
  }
}

TEST(Log, MovesWithItsLevelAndLines) {
  const std::string text = stderr_of({LogLevel::Debug}, [](Log& log) {
    log.write(Event::Stopping);
    Log moved(std::move(log));
    EXPECT_TRUE(moved.enabled(LogLevel::Debug));
    EXPECT_FALSE(log.enabled(LogLevel::Error));  // NOLINT(bugprone-use-after-move): is defined
    log.write(kError, {{"reason", "from the empty one"}});
    moved.write(kDebug, {{"domain", "after"}, {"id", "1"}});
  });
  EXPECT_EQ(lines_of(text).size(), 2u) << text;
}

TEST(Log, NullDropsEverything) {
  Log log = Log::null();
  EXPECT_FALSE(log.enabled(LogLevel::Error));
  log.set_level(LogLevel::Debug);
  log.write(kError, {{"reason", "nothing to write to"}});
  log.flush();
}

TEST(Log, FullPipeBlocksNoCallerAndDestructionIsBounded) {
  Pipe pipe;
  pipe.fill();
  const StderrAs redirected(pipe.writer);
  std::optional<Log> log;
  log.emplace(LogOptions{});
  const auto start = steady_clock::now();
  for (int i = 0; i < 100000; ++i) {
    log->write(kInfo, {{"domain", i}});
  }
  const auto logged = steady_clock::now();
  EXPECT_LT(logged - start, seconds(15));
  log.reset();
  EXPECT_LT(steady_clock::now() - logged, milliseconds(2900));
}

TEST(Log, SaysHowManyLinesAFullQueueLost) {
  Pipe pipe;
  const std::size_t filled = pipe.fill();
  constexpr int kLines = 40000;
  std::string text;
  {
    const StderrAs redirected(pipe.writer);
    Log log{LogOptions{}};
    int i = 0;
    for (; i < kLines / 2; ++i) {
      log.write(kInfo, {{"domain", i}});
    }
    text = read_until(pipe.reader, "event=policy_expired").substr(filled);
    // The queue is still almost full, so this loses lines again, before the first are reported.
    for (; i < kLines; ++i) {
      log.write(kInfo, {{"domain", i}});
    }
    text += read_until(pipe.reader, "log_lines_lost");
    log.write(Event::Stopping);
    log.flush();
    text += read_until(pipe.reader, "event=stopping");
  }
  const auto lines = lines_of(text);
  std::size_t written = 0;
  std::size_t reports = 0;
  std::size_t lost = 0;
  for (const auto& line : lines) {
    if (line.find("event=policy_expired") != std::string::npos) {
      ++written;
    }
    std::smatch match;
    if (std::regex_search(line, match,
                          std::regex("level=warn event=log_lines_lost count=(\\d+) "))) {
      ++reports;
      lost += std::stoul(match[1]);
    }
  }
  EXPECT_EQ(reports, 1u);
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(written + lost, static_cast<std::size_t>(kLines));
  EXPECT_NE(text.find(" domain=" + std::to_string(kLines - 1) + " "), std::string::npos)
      << "the newest lines are the ones kept";
}

TEST(Log, LeavesTheFlagsOfASharedStderrAlone) {
  Pipe pipe;
  const StderrAs redirected(pipe.writer);
  Log log{LogOptions{}};
  log.write(Event::Stopping);
  log.flush();
  EXPECT_EQ(::fcntl(pipe.writer, F_GETFL) & O_NONBLOCK, 0);
}

TEST(Log, OutlivesTheReaderOfAPipe) {
  struct sigaction before {};
  ::sigaction(SIGPIPE, nullptr, &before);
  struct sigaction deadly {};
  deadly.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &deadly, nullptr);
  Pipe pipe;
  {
    const StderrAs redirected(pipe.writer);
    Log log{LogOptions{}};
    pipe.close_reader();
    const auto start = steady_clock::now();
    for (int i = 0; i < 100; ++i) {
      log.write(Event::Stopping);
    }
    log.flush();
    EXPECT_LT(steady_clock::now() - start, seconds(1));
  }
  ::sigaction(SIGPIPE, &before, nullptr);
}

TEST(Log, OutlivesAClosedStderr) {
  const int saved = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  ::close(STDERR_FILENO);
  {
    Log log{LogOptions{}};
    log.write(Event::Stopping);
  }
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
}

TEST(Log, WaitsForAPipeThatSomebodyMadeNonBlocking) {
  Pipe pipe;
  pipe.fill();
  ::fcntl(pipe.writer, F_SETFL, ::fcntl(pipe.writer, F_GETFL) | O_NONBLOCK);
  const StderrAs redirected(pipe.writer);
  Log log{LogOptions{}};
  log.write(Event::Stopping);
  EXPECT_NE(read_until(pipe.reader, "stopping").find("event=stopping"), std::string::npos);
}

// A socket such as syslogd has at /dev/log.
class FakeSyslog {
 public:
  explicit FakeSyslog(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~FakeSyslog() { ::close(fd_); }

  std::string receive() {
    pollfd watched{fd_, POLLIN, 0};
    if (::poll(&watched, 1, 5000) <= 0) {
      return "nothing came";
    }
    std::array<char, 8192> buffer;
    const ssize_t size = ::recv(fd_, buffer.data(), buffer.size(), 0);
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

 private:
  int fd_;
};

class SyslogSocketTest : public testing::Test {
 protected:
  SyslogSocketTest() {
    std::string name = "/tmp/mtastsd-syslog-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/log";
  }
  ~SyslogSocketTest() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  std::string path_;
};

TEST_F(SyslogSocketTest, SendsThePriority) {
  FakeSyslog syslog(path_);
  SyslogSocket socket(path_);
  const std::pair<LogLevel, int> levels[] = {{LogLevel::Debug, LOG_DEBUG},
                                             {LogLevel::Info, LOG_INFO},
                                             {LogLevel::Warn, LOG_WARNING},
                                             {LogLevel::Error, LOG_ERR}};
  for (const auto& [level, priority] : levels) {
    ASSERT_TRUE(socket.send({}, level, "event=start version=1"));
    const std::string head = "<" + std::to_string(LOG_MAIL | priority) + ">";
    EXPECT_TRUE(std::regex_match(
        syslog.receive(),
        std::regex(head + R"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d mtastsd\[)" +
                   std::to_string(::getpid()) + R"(\]: )" + "event=start version=1")));
  }
}

TEST_F(SyslogSocketTest, FindsARestartedSyslog) {
  SyslogSocket socket(path_);
  {
    FakeSyslog first(path_);
    ASSERT_TRUE(socket.send({}, LogLevel::Info, "event=one"));
    EXPECT_TRUE(first.receive().ends_with("event=one"));
  }
  std::filesystem::remove(path_);
  FakeSyslog second(path_);
  ASSERT_TRUE(socket.send({}, LogLevel::Info, "event=two"));
  EXPECT_TRUE(second.receive().ends_with("event=two"));
}

TEST_F(SyslogSocketTest, SaysWhenNobodyTakesTheLine) {
  SyslogSocket socket(path_);
  EXPECT_FALSE(socket.send({}, LogLevel::Error, "event=lonely"));
}

TEST(Log, WithoutSyslogLinesGoToStderr) {
  if (std::filesystem::exists("/dev/log")) {
    GTEST_SKIP() << "this machine has a syslog daemon";
  }
  const std::string text =
      stderr_of({LogLevel::Info, LogFormat::Logfmt, LogTarget::Syslog}, [](Log& log) {
        log.write(kError, {{"reason", "lonely"}});
      });
  EXPECT_TRUE(text.starts_with("level=error event=not_started reason=lonely ")) << text;
}

}  // namespace
}  // namespace mtastsd
