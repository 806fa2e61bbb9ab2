#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alarms.h"
#include "answer_thread.h"
#include "commands.h"
#include "http_thread.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/config/config.h"
#include "mtastsd/event/loop.h"
#include "open_sockets.h"
#include "override_book.h"
#include "resolver_thread.h"
#include "tracers.h"
#include "watchdog.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::daemon {

// The daemon: builds everything in order, runs until SIGTERM or SIGINT, reloads on SIGHUP, and
// closes everything in the reverse order. One for a process; the caller has called
// curl_global_init and has blocked no signals.
class Daemon {
 public:
  // Sets up everything that must work before the first client is served: cache, CA file,
  // threads. The error is one sentence for the operator. `config_path` is read again on SIGHUP;
  // empty: there is no file.
  static Result<std::unique_ptr<Daemon>, std::string> start(const config::Config& config,
                                                            const std::string& config_path,
                                                            OpenSockets sockets, Log& log);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  void run();

 private:
  Daemon(config::Config config, std::string config_path, Log& log);
  Result<void, std::string> set_up(OpenSockets sockets);
  void warn_of(const OpenSockets& sockets);
  void warn_of_observing(const config::Config& config);
  void accept_on(std::vector<std::unique_ptr<Listener>> listeners);
  void open_control(OpenSockets& sockets, const std::string& cache_directory);
  void open_http(OpenSockets& sockets);
  void collect_observed(const std::function<void(std::vector<answer::ObservedSum>)>& done);
  void publish(const overrides::TablePtr& table, event::Callback done);
  void reload();
  void take_over(const config::Config& next);
  void start_watchdog();
  void log_each_error(std::string_view message);
  void log_stopped();

  const config::Config config_;  // as started: what needs a restart stays as it is here
  const std::string config_path_;
  Log& log_;
  SystemClock clock_;
  socketmap::ConnectionCount connections_;
  std::size_t next_thread_ = 0;                           // of the first answering thread
  event::Loop loop_;                                      // signals and the control socket
  std::vector<std::unique_ptr<event::FdWatch>> signals_;  // depends-on: loop_
  std::unique_ptr<Alarms> alarms_;                        // depends-on: loop_; null: no command
  std::unique_ptr<cache::LmdbStore> store_;
  std::unique_ptr<ResolverThread> resolver_;              // depends-on: store_
  std::vector<std::unique_ptr<AnswerThread>> answering_;  // depends-on: store_, resolver_
  std::unique_ptr<OverrideBook> overrides_;               // depends-on: all above
  std::unique_ptr<Tracers> tracers_;                      // depends-on: all above
  std::unique_ptr<Commands> commands_;                    // depends-on: all above
  std::unique_ptr<HttpThread> http_;                      // depends-on: all above; null: none
  std::unique_ptr<Watchdog> watchdog_;                    // depends-on: all above
};

// What is wrong with the files and names that the configuration points to. A daemon starts without
// its CA file, and serves what is cached.
Result<void, std::string> check_environment(const config::Config& config);

}  // namespace mtastsd::daemon
