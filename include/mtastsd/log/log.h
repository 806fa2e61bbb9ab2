#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace mtastsd {

enum class LogLevel { Debug, Info, Warn, Error, Off };
enum class LogFormat { Logfmt, Json };
enum class LogTarget { Stderr, Syslog };

struct LogOptions {
  LogLevel level = LogLevel::Info;
  LogFormat format = LogFormat::Logfmt;
  LogTarget target = LogTarget::Stderr;
  friend bool operator==(const LogOptions&, const LogOptions&) = default;
};

// One key=value of a log line. Text is escaped and cut at 200 bytes when the line is made,
// so peer text can be passed as it is. Views must live until the call returns.
struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), text(v) {}
  LogField(std::string_view k, const char* v) : key(k), text(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), text(v) {}
  template <std::integral T>
  LogField(std::string_view k, T v)
      : key(k), number(static_cast<std::int64_t>(v)), is_number(true) {}

  std::string_view key;
  std::string_view text;
  std::int64_t number = 0;
  bool is_number = false;
};

// The daemon's log: the event first, then fields. Lines are made only if the level asks for
// them, and written by a thread of the log's own from a bounded queue that overwrites its
// oldest lines: a blocked stderr never blocks a caller. How many lines were lost is said in a
// line of its own once there is room again. Any thread may log; SIGPIPE and other signals
// never reach the log's thread.
//   logfmt: ts=... level=info event="policy stored" domain=example.com ...
// To syslog (facility mail) go the event and fields only; what /dev/log does not take goes to
// stderr.
class Log {
 public:
  using Fields = std::initializer_list<LogField>;

  explicit Log(const LogOptions& options);
  static Log null();  // drops everything; for tests
  Log(Log&&) noexcept;
  Log& operator=(Log&&) = delete;
  ~Log();  // writes what is queued, waiting two seconds at most

  bool enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  void debug(std::string_view event, Fields fields = {}) { write(LogLevel::Debug, event, fields); }
  void info(std::string_view event, Fields fields = {}) { write(LogLevel::Info, event, fields); }
  void warn(std::string_view event, Fields fields = {}) { write(LogLevel::Warn, event, fields); }
  void error(std::string_view event, Fields fields = {}) { write(LogLevel::Error, event, fields); }

  // Waits, two seconds at most, until the lines logged before are written or lost.
  void flush();

 private:
  class Backend;

  Log();
  void write(LogLevel level, std::string_view event, Fields fields);

  std::atomic<LogLevel> level_{LogLevel::Off};
  std::unique_ptr<Backend> backend_;  // none in a null or moved-from log
};

}  // namespace mtastsd
