// Logs, at info: "started", "stopping", "stopped" (with the counters), "reloaded". At error:
// "not reloaded", one line for each mistake. At warn: "needs a restart" for settings that a reload
// cannot change.
//
// Threads: this one (signals), the answering threads, the resolver's, the cache's writer. What
// crosses is a value posted to the other thread's loop.

#include "daemon.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "acceptor.h"
#include "control_service.h"
#include "listener.h"
#include "mtastsd/answer/answerer.h"
#include "mtastsd/base/version.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/https/curl_fetcher.h"
#include "mtastsd/log/log.h"
#include "mtastsd/resolver/resolver.h"
#include "mtastsd/socketmap/server.h"
#include "supervisor.h"

namespace mtastsd::daemon {
namespace {

constexpr Milliseconds kAnswerInFlight{3000};  // at a stop: for queries that wait for DNS, HTTPS
constexpr Milliseconds kStopLimit{5000};       // at a stop: for clients to take their replies

// Whether this host could send to the IPv6 internet. Nothing is sent: connecting a datagram
// socket only looks for a route. The address is that of documentation (RFC 3849).
bool has_ipv6_route() {
  const int fd = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return false;
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(443);
  inet_pton(AF_INET6, "2001:db8::1", &address.sin6_addr);
  const int rc = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  ::close(fd);
  return rc == 0;
}

answer::AnswerOptions answer_options(const config::Config& config) {
  return {answer::Profiles(config.maps.begin(), config.maps.end()), config.resolver.answer_timeout};
}

resolver::Options resolver_options(const config::Config& config) {
  resolver::Options options;
  const config::Resolver& from = config.resolver;
  options.limits = {from.recheck_min,  from.recheck_max,    from.negative_min,
                    from.negative_max, from.retry_interval, from.refresh_interval,
                    from.idle_after};
  options.fetch_timeout = config.https.timeout;
  options.allow_local_addresses = config.https.allow_local_addresses;
  return options;
}

dns::AresOptions dns_options(const config::Config& config) {
  dns::AresOptions options;
  options.servers = config.dns.servers;
  options.resolv_conf = config.dns.resolv_conf;
  options.timeout = config.dns.timeout;
  return options;
}

std::string ca_file_of(const config::Config& config) {
  return config.https.ca_file.empty() ? https::system_ca_file() : config.https.ca_file;
}

template <typename Items, typename Name>
std::string join(const Items& items, Name name) {
  std::string text;
  for (const auto& item : items) {
    text += (text.empty() ? "" : ",") + name(item);
  }
  return text;
}

// Finds out: the resolver and what it needs, on a loop and a thread of their own.
class ResolverThread {
 public:
  ResolverThread(const config::Config& config, const Clock& clock, cache::LmdbStore& store,
                 Log& log)
      : dns_(loop_, clock, log, dns_options(config)),
        fetcher_(loop_, log, {ca_file_of(config), config.https.port, config.https.proxy}),
        resolver_({clock, loop_, dns_, fetcher_, store, log, [this] { return jitter(); },
                   [this, &clock] { return has_ipv6(clock); }},
                  resolver_options(config)),
        local_addresses_(config.https.allow_local_addresses) {}

  ~ResolverThread() { stop(); }

  void start() {
    thread_ = std::thread([this] { loop_.run(); });
  }
  void stop() {
    if (thread_.joinable()) {
      loop_.stop();
      thread_.join();
    }
  }

  void ask(const DomainName& domain, resolver::Waiter waiter) {
    loop_.post([this, domain, waiter = std::move(waiter)]() mutable {
      resolver_.ask(domain, std::move(waiter));
    });
  }

  void reload(const config::Config& config) {
    loop_.post([this, dns = dns_options(config), options = resolver_options(config)]() mutable {
      dns_.reconfigure(std::move(dns));
      resolver_.set_options(options);
    });
  }

  // On this thread's loop.
  void run(ControlService::OnResolver work) {
    loop_.post([this, work = std::move(work)] { work(resolver_, dns_); });
  }

  const resolver::Counters& counters() const { return resolver_.counters(); }
  std::vector<std::string> dns_servers() const { return dns_.servers(); }

 private:
  double jitter() { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); }

  bool has_ipv6(const Clock& clock) {
    const SteadyTime now = clock.steady();
    if (ipv6_checked_ == SteadyTime{} || now - ipv6_checked_ > std::chrono::minutes(1)) {
      // Loopback has IPv6 without a route to anywhere.
      ipv6_ = local_addresses_ || has_ipv6_route();
      ipv6_checked_ = now;
    }
    return ipv6_;
  }

  std::mt19937_64 random_{std::random_device{}()};
  SteadyTime ipv6_checked_{};
  bool ipv6_ = false;
  event::Loop loop_;
  dns::AresClient dns_;          // depends-on: loop_
  https::CurlFetcher fetcher_;   // depends-on: loop_
  resolver::Resolver resolver_;  // depends-on: all above
  const bool local_addresses_;
  std::thread thread_;
};

// Answers: connections and what they are answered from, on a loop and a thread of their own.
class AnswerThread final : public answer::Asker {
 public:
  AnswerThread(const config::Config& config, const Clock& clock, const cache::LmdbStore& store,
               ResolverThread& resolver, Log& log, std::atomic<std::size_t>& open_connections)
      : resolver_(resolver),
        answerer_(clock, loop_, store, *this, log, counters_, answer_options(config)),
        server_(loop_, answerer_, server_counters_, open_connections,
                config.socketmap.max_connections),
        last_call_(loop_.make_timer([this] {
          answerer_.answer_all_now();
          give_up_->arm(kStopLimit - kAnswerInFlight);
        })),
        give_up_(loop_.make_timer([this] { loop_.stop(); })) {
    answerer_.set_reply([this](const socketmap::Ticket& ticket, std::string_view text) {
      server_.reply(ticket, text);
    });
  }

  ~AnswerThread() override { stop_now(); }

  void start() {
    thread_ = std::thread([this] { loop_.run(); });
  }

  // From this thread only; the acceptor goes first when it stops.
  void accept_on(std::vector<std::unique_ptr<Listener>> listeners,
                 std::function<void(int fd)> take) {
    acceptor_ = std::make_unique<Acceptor>(loop_, std::move(listeners), std::move(take),
                                           [this] { server_.close_longest_idle(); });
  }

  void add(int fd) {
    loop_.post([this, fd] { server_.add(fd); });
  }
  void add_here(int fd) { server_.add(fd); }

  void ask(const DomainName& domain, std::uint64_t question) override {
    if (question == 0) {
      resolver_.ask(domain, nullptr);
      return;
    }
    resolver_.ask(domain, [this, question](std::shared_ptr<const resolver::Answer> answer) {
      loop_.post(
          [this, question, answer = std::move(answer)] { answerer_.on_answer(question, answer); });
    });
  }

  void reload(const config::Config& config) {
    loop_.post([this, options = answer_options(config)]() mutable {
      answerer_.set_options(std::move(options));
    });
  }

  // Answers what is in flight, within a bound, and ends.
  void begin_stop() {
    loop_.post([this] {
      if (acceptor_) {
        acceptor_->close();
      }
      last_call_->arm(kAnswerInFlight);
      server_.drain([this] { loop_.stop(); });
    });
  }
  void join() {
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  const answer::Counters& counters() const { return counters_; }
  const socketmap::ServerCounters& server_counters() const { return server_counters_; }

 private:
  void stop_now() {
    if (thread_.joinable()) {
      loop_.stop();
      thread_.join();
    }
  }

  ResolverThread& resolver_;
  answer::Counters counters_;
  socketmap::ServerCounters server_counters_;
  event::Loop loop_;
  answer::Answerer answerer_;  // depends-on: loop_
  socketmap::Server server_;   // depends-on: loop_, answerer_
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<event::Timer> last_call_;
  std::unique_ptr<event::Timer> give_up_;
  std::thread thread_;
};

}  // namespace

class Daemon::Impl {
 public:
  Impl(config::Config config, std::string config_path, Log& log)
      : config_(std::move(config)), config_path_(std::move(config_path)), log_(log) {}
  ~Impl();

  Result<void, std::string> start();
  void run();

 private:
  void open_control(const std::vector<std::unique_ptr<Listener>>& listeners,
                    const std::string& cache_directory);
  void reload();
  void log_each_error(std::string_view message);
  void warn_of_restart(const config::Config& next);
  void log_stopped();

  config::Config config_;
  const std::string config_path_;
  Log& log_;
  SystemClock clock_;
  std::atomic<std::size_t> open_connections_{0};
  std::atomic<std::size_t> next_thread_{0};
  event::Loop loop_;                                      // signals
  std::vector<std::unique_ptr<event::FdWatch>> signals_;  // depends-on: loop_
  std::unique_ptr<cache::LmdbStore> store_;
  std::unique_ptr<ResolverThread> resolver_;              // depends-on: store_
  std::vector<std::unique_ptr<AnswerThread>> answering_;  // depends-on: store_, resolver_
  std::unique_ptr<ControlService> control_;               // depends-on: all above
};

Result<void, std::string> check_environment(const config::Config& config) {
  const std::string ca_file = ca_file_of(config);
  if (ca_file.empty()) {
    return failure(
        std::string("no CA certificates found on this system: install the package "
                    "ca-certificates, or set [https] ca_file"));
  }
  if (::access(ca_file.c_str(), R_OK) != 0) {
    return failure("https.ca_file: cannot read " + ca_file + ": " + std::strerror(errno));
  }
  if (const auto owner = socket_owner(config.socketmap); !owner) {
    return failure(owner.error());
  }
  return {};
}

Result<void, std::string> Daemon::Impl::start() {
  // Before anything is there to be lost: one that comes early waits for run().
  const auto stop = [this] { loop_.stop(); };
  signals_.push_back(loop_.watch_signal(SIGTERM, stop));
  signals_.push_back(loop_.watch_signal(SIGINT, stop));
  signals_.push_back(loop_.watch_signal(SIGHUP, [this] { reload(); }));
  if (auto checked = check_environment(config_); !checked) {
    return checked;
  }
  std::vector<std::unique_ptr<Listener>> listeners;
  for (const auto& address : config_.socketmap.listen) {
    if (auto opened = open_listeners(address, config_.socketmap, listeners); !opened) {
      return opened;
    }
  }
  const std::string directory =
      config_.cache.directory.empty() ? config::default_cache_directory() : config_.cache.directory;
  cache::StoreOptions store_options;
  store_options.directory = directory;
  store_options.max_size = config_.cache.max_size;
  store_options.max_negative = config_.cache.max_negative;
  store_options.clock = &clock_;
  auto store = cache::LmdbStore::open(store_options, log_);
  if (!store) {
    return failure(std::move(store.error()));
  }
  store_ = std::move(*store);
  resolver_ = std::make_unique<ResolverThread>(config_, clock_, *store_, log_);
  for (unsigned i = 0; i < config_.socketmap.threads; ++i) {
    answering_.push_back(std::make_unique<AnswerThread>(config_, clock_, *store_, *resolver_, log_,
                                                        open_connections_));
  }
  log_.info("started", {{"version", kVersion},
                        {"config", config_path_.empty() ? "built-in defaults" : config_path_},
                        {"listen", join(listeners, [](const auto& l) { return l->name(); })},
                        {"cache", directory},
                        {"dns", join(resolver_->dns_servers(), [](const auto& s) { return s; })},
                        {"ca_file", ca_file_of(config_)}});

  open_control(listeners, directory);
  answering_.front()->accept_on(std::move(listeners), [this](int fd) {
    // Connections go round the answering threads; the first one accepts.
    const std::size_t turn = next_thread_++ % answering_.size();
    if (turn == 0) {
      answering_.front()->add_here(fd);
    } else {
      answering_[turn]->add(fd);
    }
  });
  resolver_->start();
  for (const auto& thread : answering_) {
    thread->start();
  }
  return {};
}

void Daemon::Impl::open_control(const std::vector<std::unique_ptr<Listener>>& listeners,
                                const std::string& cache_directory) {
  DaemonFacts facts;
  facts.config_path = config_path_;
  for (const auto& listener : listeners) {
    facts.listeners.push_back(listener->name());
  }
  facts.cache_directory = cache_directory;
  facts.cache_max_size = config_.cache.max_size;
  facts.max_connections = config_.socketmap.max_connections;
  facts.started_at = clock_.wall();
  facts.open_connections = &open_connections_;
  for (const auto& thread : answering_) {
    facts.answering.push_back(&thread->counters());
    facts.serving.push_back(&thread->server_counters());
  }
  facts.resolver = &resolver_->counters();
  control_ = std::make_unique<ControlService>(
      loop_, clock_, *store_, log_,
      [this](ControlService::OnResolver work) { resolver_->run(std::move(work)); },
      std::move(facts));
  control_->listen(config_.control);
}

void Daemon::Impl::run() {
  if (!tell_supervisor("READY=1")) {
    log_.warn("service manager not told: it may take this start for failed",
              {{"NOTIFY_SOCKET", std::getenv("NOTIFY_SOCKET")}});
  }
  loop_.run();
  control_.reset();
  tell_supervisor("STOPPING=1");
  log_.info("stopping");
  for (const auto& thread : answering_) {
    thread->begin_stop();
  }
  for (const auto& thread : answering_) {
    thread->join();
  }
  resolver_->stop();
  log_stopped();
}

Daemon::Impl::~Impl() {
  // The resolver's thread posts to the answering threads: it ends first.
  if (resolver_) {
    resolver_->stop();
  }
}

void Daemon::Impl::reload() {
  if (config_path_.empty()) {
    log_.warn("not reloaded: there is no configuration file", {});
    return;
  }
  tell_supervisor("RELOADING=1");
  auto next = config::load(config_path_);
  if (!next) {
    log_each_error(next.error().message);
  } else {
    warn_of_restart(*next);
    log_.set_level(next->log.level);
    resolver_->reload(*next);
    for (const auto& thread : answering_) {
      thread->reload(*next);
    }
    log_.info("reloaded", {{"config", config_path_}});
  }
  tell_supervisor("READY=1");
}

// A line for each mistake: a field of a log line is cut short.
void Daemon::Impl::log_each_error(std::string_view message) {
  while (!message.empty()) {
    const std::size_t end = std::min(message.find('\n'), message.size());
    log_.error("not reloaded: the configuration in force goes on",
               {{"reason", message.substr(0, end)}});
    message.remove_prefix(std::min(end + 1, message.size()));
  }
}

void Daemon::Impl::warn_of_restart(const config::Config& next) {
  const auto& a = config_;
  const auto& b = next;
  const auto warn = [this](bool changed, std::string_view setting) {
    if (changed) {
      log_.warn("needs a restart: this setting stays as it was", {{"setting", setting}});
    }
  };
  warn(a.socketmap.listen != b.socketmap.listen, "socketmap.listen");
  warn(a.socketmap.threads != b.socketmap.threads, "socketmap.threads");
  warn(a.socketmap.max_connections != b.socketmap.max_connections, "socketmap.max_connections");
  warn(a.socketmap.socket_mode != b.socketmap.socket_mode ||
           a.socketmap.socket_owner != b.socketmap.socket_owner ||
           a.socketmap.socket_group != b.socketmap.socket_group,
       "socketmap.socket_mode, socket_owner, socket_group");
  warn(a.cache.directory != b.cache.directory || a.cache.max_size != b.cache.max_size ||
           a.cache.max_negative != b.cache.max_negative,
       "cache");
  warn(a.https.ca_file != b.https.ca_file || a.https.port != b.https.port ||
           a.https.proxy != b.https.proxy,
       "https.ca_file, port, proxy");
  warn(a.control != b.control, "control.socket, socket_group");
  warn(a.log.format != b.log.format || a.log.target != b.log.target, "log.format, target");
}

void Daemon::Impl::log_stopped() {
  std::uint64_t queries = 0;
  std::uint64_t enforced = 0;
  std::uint64_t asked = 0;
  std::uint64_t timed_out = 0;
  for (const auto& thread : answering_) {
    queries += thread->counters().queries.value();
    enforced += thread->counters().enforced.value();
    asked += thread->counters().asked.value();
    timed_out += thread->counters().timed_out.value();
  }
  const resolver::Counters& found = resolver_->counters();
  const cache::Counters& stored = store_->counters();
  log_.info("stopped", {{"queries", queries},
                        {"enforced", enforced},
                        {"waited", asked},
                        {"timed_out", timed_out},
                        {"resolutions", found.resolutions.value()},
                        {"fetches", found.fetches.value()},
                        {"fetch_failures", found.fetch_failures.value()},
                        {"commits", stored.commits.value()},
                        {"failed_commits", stored.failed_commits.value()},
                        {"evicted", stored.evicted.value()}});
}

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>, std::string> Daemon::start(const config::Config& config,
                                                           const std::string& config_path,
                                                           Log& log) {
  auto impl = std::make_unique<Impl>(config, config_path, log);
  if (auto started = impl->start(); !started) {
    return failure(std::move(started.error()));
  }
  return std::unique_ptr<Daemon>(new Daemon(std::move(impl)));
}

void Daemon::run() {
  impl_->run();
}

}  // namespace mtastsd::daemon
