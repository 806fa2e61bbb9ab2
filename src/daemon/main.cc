#include <curl/curl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

#include "daemon/daemon.h"
#include "mtastsd/base/version.h"
#include "mtastsd/config/config.h"
#include "mtastsd/observability/log.h"

namespace {

constexpr char kDefaultConfig[] = "/etc/mtastsd/mtastsd.toml";
constexpr int kExitError = 1;
constexpr int kExitUsage = 2;

int fail(const std::string& message) {
  std::fprintf(stderr, "mtastsd: %s\n", message.c_str());
  return kExitError;
}

// Each client is a descriptor, each fetch another.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

int serve(const mtastsd::config::Config& config, const std::string& path) {
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  curl_global_init(CURL_GLOBAL_DEFAULT);
  int status = 0;
  {
    mtastsd::Log log(config.log);
    auto daemon = mtastsd::daemon::Daemon::start(config, path, log);
    if (daemon) {
      (*daemon)->run();
    } else {
      if (config.log.target == mtastsd::LogTarget::Syslog) {
        log.error("not started", {{"reason", daemon.error()}});
      }
      status = fail(daemon.error());
    }
  }
  curl_global_cleanup();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("mtastsd: MTA-STS (RFC 8461) for Postfix, asked over the socketmap protocol",
               "mtastsd");
  std::string path;
  bool check_only = false;
  app.add_option("--config", path,
                 "configuration file (default: " + std::string(kDefaultConfig) +
                     " if it is there, else built-in defaults)")
      ->type_name("FILE");
  app.add_flag("--check-config", check_only, "check the configuration and exit");
  app.set_version_flag("--version", std::string("mtastsd ") + mtastsd::kVersion);
  app.get_formatter()->column_width(28);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }

  // Only a file that is not there is no file: one that cannot be read is a mistake to be told.
  if (path.empty() &&
      (::access(kDefaultConfig, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))) {
    path = kDefaultConfig;
  }
  mtastsd::config::Config config = mtastsd::config::defaults();
  if (!path.empty()) {
    auto loaded = mtastsd::config::load(path);
    if (!loaded) {
      return fail(loaded.error().message);
    }
    config = std::move(*loaded);
  }
  if (!check_only) {
    return serve(config, path);
  }
  if (const auto checked = mtastsd::daemon::check_environment(config); !checked) {
    return fail(checked.error());
  }
  std::printf("mtastsd: %s is good\n", path.empty() ? "the built-in configuration" : path.c_str());
  return 0;
}
