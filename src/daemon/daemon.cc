// Logs, at info: "started", "stopping", "stopped" (with the counters), "reloaded". At error:
// "not reloaded", one line for each mistake. At warn: "needs a restart" for settings that a reload
// cannot change, "service manager not told".
//
// Threads: this one (signals, control socket), the answering threads, the resolver's, those that
// fetch, the cache's writer, and that of the pages. What crosses is a value posted to the other
// thread's loop.

#include "daemon.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "mtastsd/base/text.h"
#include "mtastsd/base/version.h"
#include "mtastsd/config/reload.h"
#include "mtastsd/https/authorities.h"
#include "mtastsd/https/proxy_credentials.h"
#include "mtastsd/log/log.h"
#include "options.h"
#include "supervisor.h"

namespace mtastsd::daemon {
namespace {

// How often the watchdog is fed in the time that it has.
constexpr int kFeedings = 4;
constexpr StopLimits kStopLimits{Milliseconds(1000), Milliseconds(3000), Milliseconds(5000)};

}  // namespace

Result<void, std::string> check_environment(const config::Config& config) {
  if (std::string problem = https::problem_with_ca_file(config.https.ca_path()); !problem.empty()) {
    const bool directory = config.https.ca_file.empty() && !config.https.ca_directory.empty();
    return failure((directory ? "https.ca_directory: " : "https.ca_file: ") + std::move(problem));
  }
  if (auto credentials = https::read_proxy_credentials(config.https.proxy_credentials);
      !credentials) {
    return failure("https.proxy_credentials: " + std::move(credentials.error()));
  }
  if (const auto owner = socket_owner(config.socketmap); !owner) {
    return failure(owner.error());
  }
  return {};
}

Daemon::Daemon(config::Config config, std::string config_path, Log& log)
    : config_(std::move(config)),
      config_path_(std::move(config_path)),
      log_(log),
      connections_(most_connections(config_.socketmap.max_connections, descriptor_limit())) {}

Daemon::~Daemon() {
  // The resolver's thread posts to the answering threads: it ends first.
  if (resolver_) {
    resolver_->stop();
  }
}

Result<std::unique_ptr<Daemon>, std::string> Daemon::start(const config::Config& config,
                                                           const std::string& config_path,
                                                           OpenSockets sockets, Log& log) {
  std::unique_ptr<Daemon> daemon(new Daemon(config, config_path, log));
  if (auto started = daemon->set_up(std::move(sockets)); !started) {
    return failure(std::move(started.error()));
  }
  return daemon;
}

Result<void, std::string> Daemon::set_up(OpenSockets sockets) {
  // First of all: a signal that comes early waits for run().
  const auto stop = [this] { loop_.stop(); };
  signals_.push_back(loop_.watch_signal(SIGTERM, stop));
  signals_.push_back(loop_.watch_signal(SIGINT, stop));
  signals_.push_back(loop_.watch_signal(SIGHUP, [this] { reload(); }));
  if (const auto owner = socket_owner(config_.socketmap); !owner) {
    return failure(owner.error());
  }
  if (sockets.alarm_runner) {
    alarms_ = std::make_unique<Alarms>(loop_, clock_, log_, std::move(sockets.alarm_runner));
  }
  warn_of(sockets);
  warn_of_observing(config_);
  const cache::StoreOptions options = store_options(config_, clock_);
  auto store = cache::LmdbStore::open(options, log_);
  if (!store) {
    return failure(std::move(store.error()));
  }
  store_ = std::move(*store);
  resolver_ = std::make_unique<ResolverThread>(config_, clock_, *store_, log_);
  const auto ask_resolver =
      [this](const DomainName& domain, const std::optional<dane::Target>& survey,
             resolver::Waiter waiter) { resolver_->ask(domain, survey, std::move(waiter)); };
  for (unsigned i = 0; i < config_.socketmap.threads; ++i) {
    answering_.push_back(
        std::make_unique<AnswerThread>(config_, clock_, *store_, ask_resolver, log_, connections_));
  }
  log_.write(Event::Started,
             {{"version", kVersion},
              {"config", config_path_.empty() ? "built-in defaults" : config_path_},
              {"listen", joined(sockets.socketmap, ",", [](const auto& l) { return l->name(); })},
              {"http", joined(sockets.http, ",", [](const auto& l) { return l->name(); })},
              {"cache", options.directory},
              {"dns", joined(resolver_->dns_servers(), ",")},
              {"ca_file", config_.https.ca_path().empty() ? https::system_ca_file()
                                                          : config_.https.ca_path()}});

  overrides_ = std::make_unique<OverrideBook>(loop_, clock_, *store_, log_);
  overrides_->load(config_.overrides);
  overrides_->set_publish([this](const overrides::TablePtr& table, event::Callback done) {
    publish(table, std::move(done));
  });
  open_control(sockets, options.directory);
  open_http(sockets);
  accept_on(std::move(sockets.socketmap));
  resolver_->run([table = overrides_->table()](resolver::Resolver& resolver, auto&) {
    resolver.set_overrides(table);
  });
  resolver_->start();
  for (const auto& thread : answering_) {
    thread->start(overrides_->table());
  }
  if (http_) {
    http_->start();
  }
  return {};
}

void Daemon::warn_of(const OpenSockets& sockets) {
  for (const auto* listeners : {&sockets.socketmap, &sockets.http}) {
    for (const auto& listener : *listeners) {
      if (is_everywhere(listener->name())) {
        log_.write(Event::ListensEverywhere, {{"listen", listener->name()}});
      }
    }
  }
  for (const PassedSocket& socket : sockets.unused) {
    log_.write(Event::SocketUnused,
               {{"socket", socket.name},
                {"reason", socket.for_http() ? "it is not in [http] listen"
                                             : "it is not in [socketmap] listen"}});
  }
  for (const std::string& reason : sockets.unusable) {
    log_.write(Event::SocketUnused, {{"socket", ""}, {"reason", reason}});
  }
  for (const std::string& reason : sockets.http_problems) {
    log_.write(Event::HttpListenFailed, {{"reason", reason}});
  }
  if (!sockets.control_problem.empty()) {
    log_.write(Event::ControlSocketFailed,
               {{"socket", sockets.control_path}, {"reason", sockets.control_problem}});
  }
  if (connections_.most() < config_.socketmap.max_connections) {
    log_.write(Event::FewDescriptors,
               {{"max_connections", connections_.most()}, {"open_files", descriptor_limit()}});
  }
}

void Daemon::warn_of_observing(const config::Config& config) {
  const answer::Profiles profiles = answer_options(config).profiles;
  const std::vector<std::string> names = observing_maps(profiles);
  if (!names.empty()) {
    log_.write(Event::ObservesOnly,
               {{"maps", names.size() == profiles.size() ? "all of them" : joined(names, ",")}});
  }
}

// Connections go round the answering threads; the first one accepts them all.
void Daemon::accept_on(std::vector<std::unique_ptr<Listener>> listeners) {
  answering_.front()->accept_on(std::move(listeners), [this](int fd) {
    const std::size_t turn = next_thread_++ % answering_.size();
    if (turn == 0) {
      answering_.front()->add_here(fd);
    } else {
      answering_[turn]->add(fd);
    }
  });
}

void Daemon::open_control(OpenSockets& sockets, const std::string& cache_directory) {
  DaemonFacts facts;
  if (!config_path_.empty()) {
    facts.status.config = config_path_;
  }
  for (const auto& listener : sockets.socketmap) {
    facts.status.listeners.push_back(listener->name());
  }
  facts.status.started_at = clock_.wall();
  facts.status.connections.most = connections_.most();
  facts.status.cache.directory = cache_directory;
  facts.status.cache.max_bytes = config_.cache.max_size;
  facts.connections = &connections_;
  for (const auto& thread : answering_) {
    facts.answering.push_back(&thread->counters());
    facts.serving.push_back(&thread->server_counters());
  }
  facts.resolver = &resolver_->counters();
  facts.ca_file = config_.https.ca_path();
  facts.observed = [this](auto done) { collect_observed(std::move(done)); };
  tracers_ = std::make_unique<Tracers>(loop_, clock_, log_,
                                       [this](const answer::Answerer::Traced& traced) {
                                         for (const auto& thread : answering_) {
                                           thread->set_traced(traced);
                                         }
                                       });
  commands_ = std::make_unique<Commands>(
      loop_, clock_, *store_, *overrides_, *tracers_, log_,
      [this](ResolverThread::Work work) { resolver_->run(std::move(work)); },
      answer_options(config_).profiles, std::move(facts));
  if (sockets.control) {
    commands_->listen(std::move(sockets.control));
  }
}

void Daemon::open_http(OpenSockets& sockets) {
  if (sockets.http.empty()) {
    return;
  }
  const auto ask = [this](control::Request request, web::Site::Tell tell) {
    // On this thread while its loop runs, and so while there are commands.
    loop_.post([this, request = std::move(request), tell = std::move(tell)] {
      commands_->ask(request, tell);
    });
  };
  http_ = std::make_unique<HttpThread>(config_.http, clock_, *store_, ask, std::move(sockets.http));
}

// Calls `done` on this thread when the last answering thread has the table.
void Daemon::publish(const overrides::TablePtr& table, event::Callback done) {
  resolver_->run([table](resolver::Resolver& resolver, auto&) { resolver.set_overrides(table); });
  const auto waiting = std::make_shared<std::atomic<std::size_t>>(answering_.size());
  for (const auto& thread : answering_) {
    thread->set_overrides(table, [this, waiting, done] {
      if (--*waiting == 0 && done) {
        loop_.post(done);
      }
    });
  }
}

// Calls `done` on this thread when all answering threads have said what they observed.
void Daemon::collect_observed(const std::function<void(std::vector<answer::ObservedSum>)>& done) {
  const auto sums = std::make_shared<std::vector<answer::ObservedSum>>();
  for (const auto& thread : answering_) {
    thread->run([this, &thread = *thread, sums, done] {
      loop_.post([this, sum = thread.observed(), sums, done] {
        sums->push_back(sum);
        if (sums->size() == answering_.size()) {
          done(std::move(*sums));
        }
      });
    });
  }
}

void Daemon::run() {
  if (!tell_supervisor("READY=1")) {
    log_.write(Event::NotifyFailed, {{"notify_socket", std::getenv("NOTIFY_SOCKET")}});
  }
  start_watchdog();
  loop_.run();
  watchdog_.reset();
  if (http_) {
    http_->stop();
  }
  commands_.reset();
  tracers_.reset();
  overrides_.reset();
  tell_supervisor("STOPPING=1");
  log_.write(Event::Stopping);
  // A connection that was accepted has reached its thread when that is told to stop.
  answering_.front()->stop_accepting([this] {
    for (const auto& thread : answering_) {
      thread->begin_stop(kStopLimits);
    }
  });
  for (const auto& thread : answering_) {
    thread->join();
  }
  resolver_->stop();
  log_stopped();
}

void Daemon::start_watchdog() {
  const auto limit = watchdog_limit();
  if (!limit) {
    return;
  }
  std::vector<Watchdog::Thread> threads;
  for (const auto& thread : answering_) {
    threads.emplace_back(
        [&thread = *thread](event::Callback callback) { thread.run(std::move(callback)); });
  }
  threads.emplace_back([this](event::Callback callback) {
    resolver_->run([callback = std::move(callback)](auto&, auto&) { callback(); });
  });
  watchdog_ = std::make_unique<Watchdog>(loop_, *limit / kFeedings, std::move(threads),
                                         [] { tell_supervisor("WATCHDOG=1"); });
}

void Daemon::reload() {
  tell_supervisor(reloading_state());
  if (config_path_.empty()) {
    log_.write(Event::NotReloaded, {{"reason", "there is no configuration file"}});
  } else if (const auto next = config::load(config_path_)) {
    take_over(*next);
  } else {
    log_each_error(next.error().message);
  }
  tell_supervisor("READY=1");
}

void Daemon::take_over(const config::Config& next) {
  for (const std::string& setting : config::settings_that_need_restart(config_, next)) {
    log_.write(Event::RestartNeeded, {{"setting", setting}});
  }
  // A changed bundle needs no reload: the next fetch finds it.
  if (const std::string problem = https::problem_with_ca_file(config_.https.ca_path());
      !problem.empty()) {
    log_.write(Event::CaFileUnreadable, {{"path", config_.https.ca_path()}, {"reason", problem}});
  }
  log_.set_level(next.log.level);
  commands_->set_profiles(answer_options(next).profiles);
  overrides_->configure(next.overrides);
  resolver_->reload(next);
  for (const auto& thread : answering_) {
    thread->reload(next);
  }
  log_.write(Event::Reloaded, {{"config", config_path_}});
  warn_of_observing(next);
}

// A line for each mistake: the field of a log line is bounded.
void Daemon::log_each_error(std::string_view message) {
  while (!message.empty()) {
    const std::size_t end = std::min(message.find('\n'), message.size());
    log_.write(Event::NotReloaded, {{"reason", message.substr(0, end)}});
    message.remove_prefix(std::min(end + 1, message.size()));
  }
}

void Daemon::log_stopped() {
  std::vector<const answer::Counters*> counters;
  for (const auto& thread : answering_) {
    counters.push_back(&thread->counters());
  }
  const control::Status::Queries queries = queries_of(counters);
  const resolver::Counters& found = resolver_->counters();
  const cache::Counters& stored = store_->counters();
  log_.write(Event::Stopped, {{"queries", queries.total},
                              {"enforced", queries.enforced},
                              {"waited", queries.waited},
                              {"timed_out", queries.timed_out},
                              {"resolutions", found.resolutions.value()},
                              {"fetches", found.fetches.value()},
                              {"fetch_failures", found.fetch_failures.value()},
                              {"commits", stored.commits.value()},
                              {"failed_commits", stored.failed_commits.value()},
                              {"evicted", stored.evicted.value()}});
}

}  // namespace mtastsd::daemon
