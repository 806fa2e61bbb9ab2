// The log: a spdlog asynchronous logger with a thread pool and a sink of its own. spdlog's
// registry and default logger are not used. A line goes
//   caller: make_body -> queue (1536 lines, overwrites its oldest) -> the log's thread: Sink
// Known limits: lines that are still queued after two seconds of destruction are lost.
#include "mtastsd/log/log.h"

#include <poll.h>
#include <pthread.h>
#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "log_line.h"
#include "mtastsd/base/clock.h"
#include "syslog_socket.h"

namespace mtastsd {
namespace {

constexpr std::size_t kQueueLines = 1536;
constexpr Milliseconds kFlushWait{2000};
constexpr const char* kSyslogPath = "/dev/log";

// While lines keep being lost, this is how often a line says so.
constexpr Seconds kLossInterval{10};

// The two types that spdlog's documented interface hands out without a public name.
using ThreadPool = decltype(spdlog::thread_pool())::element_type;
using Message = spdlog::details::log_msg;

// spdlog neither filters nor shows levels here: its number carries ours to the sink.
spdlog::level::level_enum to_spdlog(LogLevel level) {
  return static_cast<spdlog::level::level_enum>(level);
}
static_assert(static_cast<int>(LogLevel::Trace) == spdlog::level::trace);
static_assert(static_cast<int>(LogLevel::Off) < spdlog::level::off);

std::string pattern(const LogOptions& options) {
  const bool json = options.format == LogFormat::Json;
  if (options.target == LogTarget::Syslog) {
    return json ? "{%v" : "%v";
  }
  return json ? R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ",%v)" : "ts=%Y-%m-%dT%H:%M:%S.%eZ %v";
}

// Waits as long as stderr takes nothing. False if it takes nothing ever again.
bool write_to_stderr(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {  // somebody made it non-blocking
      pollfd watched{STDERR_FILENO, POLLOUT, 0};
      ::poll(&watched, 1, -1);
    } else if (written == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

// Writes the lines, in the log's thread, and counts them.
class Sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  Sink(const LogOptions& options, ThreadPool& pool)
      : base_sink(std::make_unique<spdlog::pattern_formatter>(
            pattern(options), spdlog::pattern_time_type::utc, "\n")),
        format_(options.format),
        pool_(pool) {
    if (options.target == LogTarget::Syslog) {
      syslog_.emplace(kSyslogPath);
    }
  }

  void posted() { posted_.fetch_add(1); }

  // Whatever is still queued is lost.
  void close() { closed_.store(true); }

  // The queue is first in, first out. So as soon as as many lines have left it, written or
  // overwritten, as had been posted, all of those have. False if that takes too long.
  bool wait() {
    const std::uint64_t goal = posted_.load();
    std::unique_lock lock(handled_mutex_);
    return handled_changed_.wait_for(lock, kFlushWait,
                                     [&] { return handled_ + pool_.overrun_counter() >= goal; });
  }

 private:
  void sink_it_(const Message& message) override {
    if (closed_.load()) {
      return;
    }
    if (write(message)) {
      report_losses();
    } else {
      ++unwritten_;
    }
    {
      const std::lock_guard lock(handled_mutex_);
      ++handled_;
    }
    handled_changed_.notify_all();
  }

  void flush_() override {}

  bool write(const Message& message) {
    spdlog::memory_buf_t buffer;
    formatter_->format(message, buffer);
    const std::string_view line(buffer.data(), buffer.size());
    if (syslog_ && syslog_->send(message.time, static_cast<LogLevel>(message.level),
                                 line.substr(0, line.size() - 1))) {
      return true;
    }
    return write_to_stderr(line);
  }

  // Writes one line for all that was lost: when the queue has run empty, or every now and then
  // while it does not.
  void report_losses() {
    const std::size_t lost = unwritten_ + pool_.overrun_counter();
    if (lost == reported_) {
      return;
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!noticed_at_) {
      noticed_at_ = now;
    }
    if (pool_.queue_size() > 0 && now - *noticed_at_ < kLossInterval) {
      return;
    }
    const EventRow& row = row_of(Event::LogLinesLost);
    const std::string body = log_line::make_body(format_, row, {{"count", lost - reported_}});
    if (write(Message("log", to_spdlog(row.level), body))) {
      reported_ = lost;
      noticed_at_.reset();
    }
  }

  LogFormat format_;
  ThreadPool& pool_;  // outlives its thread, which is the one that writes
  std::optional<SyslogSocket> syslog_;
  std::size_t unwritten_ = 0;
  std::size_t reported_ = 0;
  std::optional<SteadyTime> noticed_at_;

  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> posted_{0};
  std::mutex handled_mutex_;
  std::condition_variable handled_changed_;
  std::uint64_t handled_ = 0;
};

// Signals are for the daemon's loop. Without SIGPIPE a closed stderr is an error to count.
void set_up_thread() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  ::pthread_setname_np(::pthread_self(), "log");
}

}  // namespace

class Log::Backend {
 public:
  explicit Backend(const LogOptions& options)
      : format_(options.format),
        pool_(std::make_shared<ThreadPool>(kQueueLines, 1, set_up_thread)),
        sink_(std::make_shared<Sink>(options, *pool_)),
        logger_(std::make_shared<spdlog::async_logger>(
            "log", sink_, pool_, spdlog::async_overflow_policy::overrun_oldest)) {
    logger_->set_level(spdlog::level::trace);
    // spdlog's own handler would write to stderr and wait for it.
    logger_->set_error_handler([](const std::string&) {});
  }

  // The pool's destructor joins the log's thread. While stderr blocks that thread, it cannot end,
  // and it is left behind with all that it uses: the program is about to end.
  ~Backend() {
    if (sink_->wait()) {
      return;
    }
    sink_->close();
    static auto& left_behind = *new std::vector<std::shared_ptr<ThreadPool>>;  // never destroyed
    left_behind.push_back(std::move(pool_));
  }

  void post(const EventRow& row, Fields fields) {
    const std::string body = log_line::make_body(format_, row, fields);
    sink_->posted();
    logger_->log(spdlog::source_loc{}, to_spdlog(row.level), spdlog::string_view_t(body));
  }

  void flush() { sink_->wait(); }

 private:
  LogFormat format_;
  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<Sink> sink_;                    // depends-on: pool_
  std::shared_ptr<spdlog::async_logger> logger_;  // depends-on: pool_, sink_
};

struct Log::Watchers {
  struct One {
    std::uint64_t number;
    LogLevel level;
    Watch watch;
  };

  // With mutex held.
  void set_level() {
    LogLevel least = LogLevel::Off;
    for (const One& one : all) {
      least = std::min(least, one.level);
    }
    level.store(least, std::memory_order_relaxed);
  }

  std::atomic<LogLevel> level{LogLevel::Off};  // the least of all
  std::mutex mutex;
  std::vector<One> all;           // guarded by mutex
  std::uint64_t last_number = 0;  // guarded by mutex
};

Log::Watcher::Watcher(std::shared_ptr<Watchers> watchers, std::uint64_t number)
    : watchers_(std::move(watchers)), number_(number) {}

Log::Watcher::~Watcher() {
  const std::lock_guard lock(watchers_->mutex);
  std::erase_if(watchers_->all, [this](const auto& one) { return one.number == number_; });
  watchers_->set_level();
}

std::unique_ptr<Log::Watcher> Log::watch(LogLevel level, Watch watch) {
  const std::lock_guard lock(watchers_->mutex);
  const std::uint64_t number = ++watchers_->last_number;
  watchers_->all.push_back({number, level, std::move(watch)});
  watchers_->set_level();
  return std::make_unique<Watcher>(watchers_, number);
}

std::string Log::json_of(const EventRow& row, Fields fields) {
  return log_line::make_body(LogFormat::Json, row, fields);
}

Log::Log() : watchers_(std::make_shared<Watchers>()), watched_level_(&watchers_->level) {}

Log::Log(const LogOptions& options) : Log() {
  level_ = options.level;
  backend_ = std::make_unique<Backend>(options);
}

Log Log::null() {
  return {};
}

std::string_view to_string(Alarm alarm) {
  switch (alarm) {
    case Alarm::None:
      break;
    case Alarm::RefreshFails:
      return "refresh-fails";
    case Alarm::PolicyEndsSoon:
      return "policy-ends-soon";
    case Alarm::ModeWeakened:
      return "mode-weakened";
    case Alarm::MxMismatch:
      return "mx-mismatch";
    case Alarm::OverrideEnds:
      return "override-ends";
    case Alarm::CacheTrouble:
      return "cache-trouble";
    case Alarm::ResolverTrouble:
      return "resolver-trouble";
  }
  return "none";
}

Log::Log(Log&& other) noexcept
    : level_(other.level_.exchange(LogLevel::Off)),
      backend_(std::move(other.backend_)),
      watchers_(other.watchers_),
      watched_level_(other.watched_level_) {}

Log::~Log() = default;

void Log::flush() {
  if (backend_) {
    backend_->flush();
  }
}

void Log::write(Event event, Fields fields) {
  const EventRow& row = row_of(event);
  assert(log_line::has_fields_of(row, fields));
  if (backend_ && enabled(row.level)) {
    backend_->post(row, fields);
  }
  if (watched(row.level)) {
    const std::lock_guard lock(watchers_->mutex);
    for (const Watchers::One& one : watchers_->all) {
      if (row.level >= one.level) {
        one.watch(row, fields);
      }
    }
  }
}

}  // namespace mtastsd
