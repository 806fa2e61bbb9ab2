#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "mtastsd/log/events.h"

namespace mtastsd {

enum class LogFormat { Logfmt, Json };
enum class LogTarget { Stderr, Syslog };

struct LogOptions {
  LogLevel level = LogLevel::Info;
  LogFormat format = LogFormat::Logfmt;
  LogTarget target = LogTarget::Stderr;
  friend bool operator==(const LogOptions&, const LogOptions&) = default;
};

// One field of a log line. Text is escaped and cut at 200 bytes when the line is made, so text
// that came from a peer can be passed as it is. Views must live until the call returns.
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

// The daemon's log. A line is made in the calling thread, if the level asks for it, and is
// written by a thread of the log's own. Between the two is a bounded queue that overwrites its
// oldest lines, so a blocked stderr never blocks a caller. When there is room again, one line
// says how many were lost. Any thread may log. The log's thread handles no signals.
//
//   ts=2026-01-01T12:00:00.123Z level=info event=policy_stored domain=example.com mode=enforce
//   ... message="A policy was fetched and stored."
//
// In JSON the keys are the same. Lines for syslog (facility mail) have no ts, because syslog has
// a time of its own. A line that /dev/log does not take goes to stderr.
class Log {
 public:
  using Fields = std::initializer_list<LogField>;

  explicit Log(const LogOptions& options);
  static Log null();  // drops everything; for tests
  Log(Log&&) noexcept;
  Log& operator=(Log&&) = delete;
  ~Log();  // writes what is queued; after two seconds the rest is lost

  bool enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

  // Logs an event with the fields of its row, in the order of the row. With assertions on, other
  // fields end the program.
  void write(Event event, Fields fields = {});

  // Waits until all earlier lines are written or lost, for two seconds at most.
  void flush();

  // Sees events of a level and above, whatever the level of the log itself, on the thread that logs
  // them and one at a time. It is quick, and logs nothing.
  using Watch = std::function<void(const EventRow& row, Fields fields)>;
  class Watcher;
  // Until the watcher is destroyed, which waits for a call that is running.
  [[nodiscard]] std::unique_ptr<Watcher> watch(LogLevel level, Watch watch);

  // True if anybody gets events of this level: the log, or who watches it.
  bool wanted(LogLevel level) const { return enabled(level) || watched(level); }

  // An event as in a log of the format Json, without its time and the opening brace.
  static std::string json_of(const EventRow& row, Fields fields);

 private:
  class Backend;
  struct Watchers;

  bool watched(LogLevel level) const {
    return level >= watched_level_->load(std::memory_order_relaxed);
  }

  Log();

  std::atomic<LogLevel> level_{LogLevel::Off};
  std::unique_ptr<Backend> backend_;  // none in a null or moved-from log
  std::shared_ptr<Watchers> watchers_;
  const std::atomic<LogLevel>* watched_level_;  // the least that anybody watches, in watchers_
};

class Log::Watcher {
 public:
  Watcher(std::shared_ptr<Watchers> watchers, std::uint64_t number);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 private:
  const std::shared_ptr<Watchers> watchers_;
  const std::uint64_t number_;
};

}  // namespace mtastsd
