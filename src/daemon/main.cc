#include <curl/curl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>

#include "daemon.h"
#include "mtastsd/base/version.h"
#include "mtastsd/config/config.h"
#include "mtastsd/log/log.h"

namespace {

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
        log.write(mtastsd::Event::NotStarted, {{"reason", daemon.error()}});
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
                 "configuration file (default: " + std::string(mtastsd::config::kDefaultFile) +
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

  const auto config = mtastsd::config::load_or_defaults(path);
  if (!config) {
    return fail(config.error().message);
  }
  if (!check_only) {
    return serve(*config, path);
  }
  if (const auto checked = mtastsd::daemon::check_environment(*config); !checked) {
    return fail(checked.error());
  }
  std::printf("mtastsd: %s is good\n", path.empty() ? "the built-in configuration" : path.c_str());
  return 0;
}
