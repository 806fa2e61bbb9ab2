// The log: a spdlog async_logger with a thread pool and a sink of its own; spdlog's registry
// and default logger are not used. A line goes
//   caller: make_body -> queue (1536 lines, overwrites its oldest) -> thread: Sink -> LineWriter
// Known limits: lines still queued two seconds into the destructor are lost.
#include "mtastsd/log/log.h"

#include <pthread.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <utility>

#include "log_line.h"
#include "log_writer.h"
#include "mtastsd/base/clock.h"

namespace mtastsd {
namespace {

using SystemTime = std::chrono::system_clock::time_point;

constexpr std::size_t kQueueLines = 1536;
constexpr Milliseconds kFlushWait{2000};
constexpr const char* kSyslogPath = "/dev/log";

// While lines are being lost all the time, say so this often.
constexpr Seconds kLossInterval{10};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return spdlog::level::debug;
    case LogLevel::Info:
      return spdlog::level::info;
    case LogLevel::Warn:
      return spdlog::level::warn;
    case LogLevel::Error:
      return spdlog::level::err;
    case LogLevel::Off:
      break;
  }
  return spdlog::level::off;
}

LogLevel from_spdlog(spdlog::level::level_enum level) {
  if (level <= spdlog::level::debug) return LogLevel::Debug;
  if (level == spdlog::level::info) return LogLevel::Info;
  if (level == spdlog::level::warn) return LogLevel::Warn;
  return LogLevel::Error;
}

// How far the log's thread has come. The queue is first in, first out, so as soon as as many
// lines have left it, written or overwritten, as had been posted, all of those have.
class Progress {
 public:
  void posted() { posted_.fetch_add(1); }

  void handled() {
    {
      const std::lock_guard lock(mutex_);
      ++handled_;
    }
    changed_.notify_all();
  }

  void wait(spdlog::details::thread_pool& pool) {
    const std::uint64_t goal = posted_.load();
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kFlushWait, [&] { return handled_ + pool.overrun_counter() >= goal; });
  }

 private:
  std::atomic<std::uint64_t> posted_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t handled_ = 0;
};

// Called by the log's one thread only.
class Sink final : public spdlog::sinks::sink {
 public:
  Sink(std::unique_ptr<LineWriter> writer, LogFormat format, spdlog::details::thread_pool& pool,
       Progress& progress)
      : writer_(std::move(writer)), format_(format), pool_(pool), progress_(progress) {}

  void log(const spdlog::details::log_msg& message) override {
    const std::string_view body(message.payload.data(), message.payload.size());
    if (write(message.time, from_spdlog(message.level), body)) {
      report_losses();
    } else {
      ++dropped_;
    }
    progress_.handled();
  }

  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  bool write(SystemTime time, LogLevel level, std::string_view body) {
    return writer_->write(std::chrono::floor<Milliseconds>(time), level, body);
  }

  // One line for all that was lost: when the queue has run empty, or every now and then while
  // it does not.
  void report_losses() {
    const std::size_t lost = dropped_ + pool_.overrun_counter();
    if (lost == reported_) return;
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!noticed_) {
      noticed_ = true;
      noticed_at_ = now;
    }
    if (pool_.queue_size() > 0 && now - noticed_at_ < kLossInterval) return;
    const std::string body =
        log_line::make_body(format_, "log lines lost", {{"count", lost - reported_}});
    if (write(std::chrono::system_clock::now(), LogLevel::Warn, body)) {
      reported_ = lost;
      noticed_ = false;
    }
  }

  std::unique_ptr<LineWriter> writer_;
  LogFormat format_;
  spdlog::details::thread_pool& pool_;  // outlives its thread, which is the one that calls us
  Progress& progress_;
  std::size_t dropped_ = 0;
  std::size_t reported_ = 0;
  bool noticed_ = false;
  SteadyTime noticed_at_;
};

// Signals are for the daemon's loop; without SIGPIPE a closed stderr is an error to count.
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
        pool_(std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1, set_up_thread)) {
    auto sink = std::make_shared<Sink>(make_writer(options), options.format, *pool_, progress_);
    logger_ = std::make_shared<spdlog::async_logger>("log", std::move(sink), pool_,
                                                     spdlog::async_overflow_policy::overrun_oldest);
    logger_->set_level(spdlog::level::trace);
    // spdlog's own handler would write to stderr and wait for it.
    logger_->set_error_handler([](const std::string&) {});
  }

  // The pool's destructor waits for the queue to be worked off. With give_up_ set that takes
  // no longer than one look at stderr. The logger outlives the thread that works for it.
  ~Backend() {
    progress_.wait(*pool_);
    give_up_.store(true);
    pool_.reset();
  }

  void post(LogLevel level, std::string_view event, Fields fields) {
    const std::string body = log_line::make_body(format_, event, fields);
    progress_.posted();
    logger_->log(spdlog::source_loc{}, to_spdlog(level),
                 spdlog::string_view_t(body.data(), body.size()));
  }

  void flush() { progress_.wait(*pool_); }

 private:
  std::unique_ptr<LineWriter> make_writer(const LogOptions& options) {
    if (options.target == LogTarget::Syslog) {
      return std::make_unique<SyslogWriter>(kSyslogPath, options.format, give_up_);
    }
    return std::make_unique<StreamWriter>(STDERR_FILENO, options.format, give_up_);
  }

  LogFormat format_;
  std::atomic<bool> give_up_{false};
  Progress progress_;
  std::shared_ptr<spdlog::details::thread_pool> pool_;  // depends-on: progress_, give_up_
  std::shared_ptr<spdlog::logger> logger_;              // depends-on: pool_
};

Log::Log() = default;

Log::Log(const LogOptions& options)
    : level_(options.level), backend_(std::make_unique<Backend>(options)) {}

Log Log::null() {
  return {};
}

Log::Log(Log&& other) noexcept
    : level_(other.level_.exchange(LogLevel::Off)), backend_(std::move(other.backend_)) {}

Log::~Log() = default;

void Log::flush() {
  if (backend_) backend_->flush();
}

void Log::write(LogLevel level, std::string_view event, Fields fields) {
  if (backend_ && enabled(level)) backend_->post(level, event, fields);
}

}  // namespace mtastsd
