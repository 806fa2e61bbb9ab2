#pragma once

#include <memory>
#include <string>

#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::daemon {

// The daemon: builds everything in order, runs until SIGTERM or SIGINT, reloads on SIGHUP, and
// closes everything in the reverse order. One for a process; the caller has done
// curl_global_init and blocked nothing.
class Daemon {
 public:
  // Everything that must work before the first client is served: listeners, cache, CA file.
  // The error is one sentence for the operator. `config_path` is read again on SIGHUP; empty:
  // there is no file.
  static Result<std::unique_ptr<Daemon>, std::string> start(const config::Config& config,
                                                            const std::string& config_path,
                                                            Log& log);
  ~Daemon();

  void run();

 private:
  class Impl;
  explicit Daemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What start() would find wrong with the files and names that the configuration points to.
Result<void, std::string> check_environment(const config::Config& config);

}  // namespace mtastsd::daemon
