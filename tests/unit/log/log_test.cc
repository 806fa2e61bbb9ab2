#include "mtastsd/log/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "log_writer.h"

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
    if (reader >= 0) ::close(reader);
    reader = -1;
  }
  // Puts in so much that the next byte has to wait; returns how much that was.
  std::size_t fill() {
    const int flags = ::fcntl(writer, F_GETFL);
    ::fcntl(writer, F_SETFL, flags | O_NONBLOCK);
    std::size_t size = 0;
    while (::write(writer, "#", 1) == 1) ++size;
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
    if (::poll(&watched, 1, 100) <= 0) continue;
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
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

TEST(Log, WritesALineWithTimeAndLevel) {
  const std::string text = stderr_of({}, [](Log& log) {
    log.info("policy stored", {{"domain", "example.com"}, {"max_age", 604800}});
  });
  EXPECT_TRUE(std::regex_match(
      text,
      std::regex(R"(ts=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info event="policy stored" )"
                 R"(domain=example\.com max_age=604800)"
                 "\n")))
      << text;
}

TEST(Log, WritesJson) {
  const std::string text =
      stderr_of({LogLevel::Info, LogFormat::Json, LogTarget::Stderr}, [](Log& log) {
        log.error("e", {{"v", "\xff\n\""}});
      });
  ASSERT_TRUE(text.ends_with("}\n"));
  const auto object = nlohmann::json::parse(text);
  EXPECT_EQ(object.at("level"), "error");
  EXPECT_EQ(object.at("v"), "\\xff\n\"");
}

TEST(Log, LevelCanChangeWhileRunning) {
  const std::string text = stderr_of({}, [](Log& log) {
    log.debug("d1");
    log.set_level(LogLevel::Debug);
    EXPECT_TRUE(log.enabled(LogLevel::Debug));
    log.debug("d2");
    log.set_level(LogLevel::Error);
    log.warn("w1");
    log.error("e1");
    log.set_level(LogLevel::Off);
    log.error("e2");
  });
  EXPECT_EQ(lines_of(text).size(), 2u) << text;
  EXPECT_NE(text.find("level=debug event=d2"), std::string::npos);
  EXPECT_NE(text.find("level=error event=e1"), std::string::npos);
}

TEST(Log, DestructionWritesAllQueuedLinesInOrder) {
  const std::string text = stderr_of({}, [](Log& log) {
    for (int i = 0; i < 1200; ++i) log.info("n", {{"i", i}});
  });
  const auto lines = lines_of(text);
  ASSERT_EQ(lines.size(), 1200u);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ASSERT_TRUE(lines[i].ends_with(" i=" + std::to_string(i))) << lines[i];
  }
}

TEST(Log, FlushReturnsWhenTheLinesAreWritten) {
  char name[] = "/tmp/mtastsd-log-XXXXXX";
  const int file = ::mkstemp(name);
  const StderrAs redirected(file);
  Log log{LogOptions{}};
  for (int i = 1; i <= 50; ++i) {
    log.info("line");
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
        for (int i = 0; i < 300; ++i) log.info("line", {{"thread", t}, {"i", i}});
      });
    }
    for (auto& thread : threads) thread.join();
  });
  const auto lines = lines_of(text);
  EXPECT_EQ(lines.size(), 1200u);
  for (const auto& line : lines) ASSERT_TRUE(line.starts_with("ts=20")) << line;
}

TEST(Log, MovesWithItsLevelAndLines) {
  const std::string text = stderr_of({LogLevel::Debug}, [](Log& log) {
    log.info("before");
    Log moved(std::move(log));
    EXPECT_TRUE(moved.enabled(LogLevel::Debug));
    EXPECT_FALSE(log.enabled(LogLevel::Error));  // NOLINT(bugprone-use-after-move): is defined
    log.error("from the empty one");
    moved.debug("after");
  });
  EXPECT_EQ(lines_of(text).size(), 2u) << text;
}

TEST(Log, NullDropsEverything) {
  Log log = Log::null();
  EXPECT_FALSE(log.enabled(LogLevel::Error));
  log.set_level(LogLevel::Debug);
  log.error("nothing to write to");
  log.flush();
}

TEST(Log, FullPipeBlocksNoCallerAndDestructionIsBounded) {
  Pipe pipe;
  pipe.fill();
  const StderrAs redirected(pipe.writer);
  std::optional<Log> log;
  log.emplace(LogOptions{});
  const auto start = steady_clock::now();
  for (int i = 0; i < 100000; ++i) log->info("line", {{"i", i}});
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
    for (; i < kLines / 2; ++i) log.info("line", {{"i", i}});
    text = read_until(pipe.reader, "event=line").substr(filled);
    // The queue is still almost full, so this loses lines again, before the first are reported.
    for (; i < kLines; ++i) log.info("line", {{"i", i}});
    text += read_until(pipe.reader, "log lines lost");
    log.info("after");
    log.flush();
    text += read_until(pipe.reader, "event=after");
  }
  const auto lines = lines_of(text);
  std::size_t written = 0;
  std::size_t reports = 0;
  std::size_t lost = 0;
  for (const auto& line : lines) {
    if (line.find("event=line") != std::string::npos) ++written;
    std::smatch match;
    if (std::regex_search(line, match, std::regex("level=warn.*lines lost\" count=(\\d+)$"))) {
      ++reports;
      lost += std::stoul(match[1]);
    }
  }
  EXPECT_EQ(reports, 1u);
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(written + lost, static_cast<std::size_t>(kLines));
  EXPECT_NE(text.find("i=" + std::to_string(kLines - 1) + "\n"), std::string::npos)
      << "the newest lines are the ones kept";
}

TEST(Log, LeavesTheFlagsOfASharedStderrAlone) {
  Pipe pipe;
  const StderrAs redirected(pipe.writer);
  Log log{LogOptions{}};
  log.info("line");
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
    for (int i = 0; i < 100; ++i) log.info("line");
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
    log.info("line");
  }
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
}

// The writers by themselves, where the log cannot be brought to use them.

struct StreamCase {
  const char* name;
  bool socket;
  StreamWriter::Reopen reopen;
};

class BlockedStream : public testing::TestWithParam<StreamCase> {};

TEST_P(BlockedStream, GivesUpWhenTold) {
  std::array<int, 2> ends{};
  if (GetParam().socket) {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  } else {
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  }
  std::atomic<bool> give_up{false};
  std::atomic<bool> done{false};
  StreamWriter writer(ends[1], LogFormat::Logfmt, give_up, GetParam().reopen);
  std::thread thread([&] {
    while (writer.write({}, LogLevel::Info, std::string(5000, 'x'))) {
    }
    done.store(true);
  });
  // Blocked for real: what the other end can read stays the same.
  int waiting = 0;
  for (int before = -1; waiting != before || waiting == 0;) {
    before = waiting;
    std::this_thread::sleep_for(milliseconds(100));
    ASSERT_EQ(::ioctl(ends[0], FIONREAD, &waiting), 0);
  }
  EXPECT_FALSE(done.load());
  give_up.store(true);
  const auto start = steady_clock::now();
  thread.join();
  EXPECT_LT(steady_clock::now() - start, milliseconds(500));
  EXPECT_FALSE(writer.write({}, LogLevel::Info, "event=late"));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(BlockedStream, GoesOnWhereItStoppedWhenThereIsRoom) {
  std::array<int, 2> ends{};
  if (GetParam().socket) {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  } else {
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  }
  std::atomic<bool> give_up{false};
  StreamWriter writer(ends[1], LogFormat::Logfmt, give_up, GetParam().reopen);
  const std::string body = "event=" + std::string(1000000, 'x') + "end";
  std::thread thread([&] { EXPECT_TRUE(writer.write({}, LogLevel::Info, body)); });
  const std::string text = read_until(ends[0], "end\n");
  thread.join();
  EXPECT_EQ(text, "ts=1970-01-01T00:00:00.000Z level=info " + body + "\n");
  ::close(ends[0]);
  ::close(ends[1]);
}

INSTANTIATE_TEST_SUITE_P(
    StreamWriter, BlockedStream,
    testing::Values(StreamCase{"Pipe", false, StreamWriter::Reopen::IfPossible},
                    StreamCase{"PipeThatCannotBeReopened", false, StreamWriter::Reopen::Never},
                    StreamCase{"Socket", true, StreamWriter::Reopen::IfPossible}),
    [](const auto& test) { return std::string(test.param.name); });

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
    if (::poll(&watched, 1, 5000) <= 0) return "nothing came";
    std::array<char, 8192> buffer;
    const ssize_t size = ::recv(fd_, buffer.data(), buffer.size(), 0);
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

 private:
  int fd_;
};

class SyslogWriterTest : public testing::Test {
 protected:
  SyslogWriterTest() {
    std::string name = "/tmp/mtastsd-syslog-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/log";
  }
  ~SyslogWriterTest() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  std::string path_;
  std::atomic<bool> give_up_{false};
};

TEST_F(SyslogWriterTest, SendsThePriorityAndNeitherTimeNorLevel) {
  FakeSyslog syslog(path_);
  SyslogWriter writer(path_, LogFormat::Logfmt, give_up_);
  const std::pair<LogLevel, int> levels[] = {{LogLevel::Debug, LOG_DEBUG},
                                             {LogLevel::Info, LOG_INFO},
                                             {LogLevel::Warn, LOG_WARNING},
                                             {LogLevel::Error, LOG_ERR}};
  for (const auto& [level, priority] : levels) {
    ASSERT_TRUE(writer.write({}, level, "event=start version=1"));
    const std::string head = "<" + std::to_string(LOG_MAIL | priority) + ">";
    EXPECT_TRUE(std::regex_match(
        syslog.receive(),
        std::regex(head + R"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d mtastsd\[)" +
                   std::to_string(::getpid()) + R"(\]: )" + "event=start version=1")));
  }
}

TEST_F(SyslogWriterTest, FindsARestartedSyslog) {
  SyslogWriter writer(path_, LogFormat::Logfmt, give_up_);
  {
    FakeSyslog first(path_);
    ASSERT_TRUE(writer.write({}, LogLevel::Info, "event=one"));
    EXPECT_TRUE(first.receive().ends_with("event=one"));
  }
  std::filesystem::remove(path_);
  FakeSyslog second(path_);
  ASSERT_TRUE(writer.write({}, LogLevel::Info, "event=two"));
  EXPECT_TRUE(second.receive().ends_with("event=two"));
}

TEST_F(SyslogWriterTest, WithoutSyslogLinesGoToStderr) {
  Pipe pipe;
  const StderrAs redirected(pipe.writer);
  SyslogWriter writer(path_, LogFormat::Logfmt, give_up_);
  EXPECT_TRUE(writer.write({}, LogLevel::Error, "event=lonely"));
  EXPECT_EQ(read_until(pipe.reader, "\n"),
            "ts=1970-01-01T00:00:00.000Z level=error event=lonely\n");
}

TEST_F(SyslogWriterTest, GivesUpOnASyslogThatReadsNothing) {
  FakeSyslog syslog(path_);
  std::atomic<int> written{0};
  SyslogWriter writer(path_, LogFormat::Logfmt, give_up_);
  std::thread thread([&] {
    while (writer.write({}, LogLevel::Info, "event=x")) ++written;
  });
  for (int before = -1; written != before || written == 0;) {
    before = written;
    std::this_thread::sleep_for(milliseconds(100));
  }
  give_up_.store(true);
  const auto start = steady_clock::now();
  thread.join();
  EXPECT_LT(steady_clock::now() - start, milliseconds(500));
}

}  // namespace
}  // namespace mtastsd
