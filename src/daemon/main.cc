#include <curl/curl.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "activation.h"
#include "alarm_runner.h"
#include "confinement.h"
#include "daemon.h"
#include "mtastsd/base/version.h"
#include "mtastsd/config/config.h"
#include "mtastsd/log/log.h"
#include "open_sockets.h"
#include "options.h"
#include "privileges.h"

namespace {

using mtastsd::Event;
using mtastsd::failure;
using mtastsd::Result;
using mtastsd::config::Config;
using mtastsd::daemon::Confinement;
using mtastsd::daemon::OpenSockets;
using mtastsd::daemon::PassedSockets;

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

// A descriptor that the daemon opens must not get one of these numbers: what is written to standard
// error would be written there. If this fails, there is no way left to say so.
bool open_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // The lowest number that is free is this one.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) {
      return false;
    }
  }
  return true;
}

// What is opened and given up while the process has one thread, which passes it on to the others.
struct Prepared {
  OpenSockets sockets;
  Confinement confinement;
  std::string user;
};

Result<Prepared, std::string> prepare(const Config& config, PassedSockets passed) {
  auto identity = mtastsd::daemon::identity_for(config.daemon);
  if (!identity) {
    return failure(identity.error());
  }
  const std::string cache = mtastsd::daemon::cache_directory(config);
  std::error_code ec;
  std::filesystem::create_directories(cache, ec);
  if (!*identity) {
    *identity = mtastsd::daemon::owner_of_cache(cache, config.daemon);
  }
  const std::string user = *identity ? (*identity)->name : std::string();
  auto sockets = mtastsd::daemon::open_sockets(config, std::move(passed), user);
  if (!sockets) {
    return failure(std::move(sockets.error()));
  }
  if (*identity) {
    mtastsd::daemon::hand_over_cache(cache, **identity);
    if (auto became = mtastsd::daemon::become(**identity); !became) {
      return failure(std::move(became.error()));
    }
  }
  mtastsd::daemon::drop_capabilities();
  if (!config.alarm.command.empty()) {
    auto runner = mtastsd::daemon::start_alarm_runner(config.alarm.command);
    if (!runner) {
      return failure(std::move(runner.error()));
    }
    sockets->alarm_runner = std::move(*runner);
  }
  std::vector<std::string> directories;
  for (const auto* listeners : {&sockets->socketmap, &sockets->http}) {
    for (const auto& listener : *listeners) {
      directories.push_back(listener->directory());
    }
  }
  if (sockets->control) {
    directories.push_back(sockets->control->directory());
  }
  return Prepared{
      std::move(*sockets),
      mtastsd::daemon::confine(cache, directories, !config.https.source_address.empty()),
      user.empty() ? std::to_string(::geteuid()) : user};
}

void log_confinement(const Config& config, const Prepared& prepared, mtastsd::Log& log) {
  if (::geteuid() == 0 && config.daemon.user != "root") {
    log.write(Event::RunsAsRoot, {{"user", config.daemon.user}});
  }
  log.write(Event::Confined, {{"user", prepared.user},
                              {"landlock", prepared.confinement.landlock > 0 ? "yes" : "no"},
                              {"seccomp", prepared.confinement.seccomp ? "yes" : "no"}});
}

Result<void, std::string> run(const Config& config, const std::string& path, Prepared prepared,
                              mtastsd::Log& log) {
  log_confinement(config, prepared, log);
  auto daemon = mtastsd::daemon::Daemon::start(config, path, std::move(prepared.sockets), log);
  if (!daemon) {
    return failure(std::move(daemon.error()));
  }
  (*daemon)->run();
  return {};
}

void print_origins(const mtastsd::config::Origins& origins) {
  for (const auto& [setting, origin] : origins) {
    std::printf("%s = %s (%s)\n", setting.c_str(), origin.value.c_str(), origin.place.c_str());
  }
  std::printf("%s settings have their defaults.\n", origins.empty() ? "All" : "All other");
}

// What the daemon could not do as the user that it becomes.
Result<void, std::string> check_access(const Config& config, const std::string& path) {
  const auto identity = mtastsd::daemon::identity_for(config.daemon);
  if (!identity) {
    return failure(identity.error());
  }
  for (const std::string& file : {path, config.https.ca_path(), config.https.proxy_credentials}) {
    if (*identity && !file.empty() && !mtastsd::daemon::can_read(**identity, file)) {
      return failure(file + ": the user \"" + (*identity)->name +
                     "\", as whom mtastsd runs, cannot read it: give it and the directories above "
                     "to the group of that user");
    }
  }
  return {};
}

int check(const Config& config, const std::string& path, const mtastsd::config::Origins& origins) {
  const auto checked = mtastsd::daemon::check_environment(config).and_then(
      [&] { return check_access(config, path); });
  if (!checked) {
    return fail(checked.error());
  }
  if (const auto& command = config.alarm.command;
      !command.empty() && ::access(command.front().c_str(), X_OK) != 0) {
    return fail("alarm.command: " + command.front() + " cannot be run: " + std::strerror(errno));
  }
  for (const auto& listen : config.socketmap.listen) {
    if (mtastsd::daemon::is_everywhere(listen.str())) {
      std::fprintf(
          stderr,
          "mtastsd: warning: socketmap.listen: %s is every address of this host, so whoever "
          "can reach it can ask mtastsd and use up its connections: listen on "
          "inet:127.0.0.1:%u, or have a firewall\n",
          listen.str().c_str(), static_cast<unsigned>(listen.port));
    }
  }
  std::printf("mtastsd: %s is good\n", path.empty() ? "the built-in configuration" : path.c_str());
  print_origins(origins);
  return 0;
}

int serve(const Config& config, const std::string& path, PassedSockets passed) {
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  auto prepared = prepare(config, std::move(passed));
  curl_global_init(CURL_GLOBAL_DEFAULT);
  int status = 0;
  {
    mtastsd::Log log(config.log);
    const auto ran =
        prepared ? run(config, path, std::move(*prepared), log) : failure(prepared.error());
    if (!ran) {
      if (config.log.target == mtastsd::LogTarget::Syslog) {
        log.write(Event::NotStarted, {{"reason", ran.error()}});
      }
      status = fail(ran.error());
    }
  }
  curl_global_cleanup();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (!open_standard_descriptors()) {
    return kExitError;
  }
  auto passed = mtastsd::daemon::take_passed_sockets();
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

  mtastsd::config::Origins origins;
  const auto config = mtastsd::config::load_or_defaults(path, &origins);
  if (!config) {
    return fail(config.error().message);
  }
  return check_only ? check(*config, path, origins) : serve(*config, path, std::move(passed));
}
