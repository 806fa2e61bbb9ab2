#include "resolver_thread.h"

#include <utility>

#include "options.h"

namespace mtastsd::daemon {

ResolverThread::ResolverThread(const config::Config& config, const Clock& clock,
                               cache::LmdbStore& store, Log& log)
    : dns_(dns::AresClient::make(loop_, clock, log, dns_options(config))),
      dialer_(https::make_tcp_dialer(loop_, config.https.port, config.https.source_address)),
      authorities_(std::make_shared<https::Authorities>(config.https.ca_path())),
      authorities_watch_(loop_, log, *authorities_),
      fetcher_(https::make_fetch_threads(loop_, fetch_threads(config),
                                         [&](event::Loop& loop) {
                                           https::CurlOptions options = https_options(config);
                                           options.authorities = authorities_;
                                           return https::make_curl_fetcher(loop, log,
                                                                           std::move(options));
                                         })),
      discovery_({loop_, *dns_, *dialer_, *fetcher_}, discovery_settings(config)),
      dane_(clock, loop_, *dns_),
      resolver_(
          {clock, loop_, discovery_, store, log, [this] { return jitter(); }, &dane_, dns_.get()},
          resolver_options(config)) {}

ResolverThread::~ResolverThread() {
  stop();
}

void ResolverThread::start() {
  thread_ = std::thread([this] { loop_.run(); });
}

void ResolverThread::stop() {
  if (thread_.joinable()) {
    loop_.stop();
    thread_.join();
  }
}

void ResolverThread::ask(const DomainName& domain, const std::optional<dane::Target>& survey,
                         resolver::Waiter waiter) {
  loop_.post([this, domain, survey, waiter = std::move(waiter)]() mutable {
    if (survey) {
      const auto tell = [waiter = std::move(waiter)](const resolver::Answer& answer) {
        if (waiter) {
          waiter(answer);
        }
      };
      resolver::tell_now_or_later(resolver_.survey(domain, *survey, tell), tell);
      return;
    }
    if (!waiter) {
      resolver_.touch(domain);
      return;
    }
    resolver::tell_now_or_later(resolver_.ask(domain, waiter), waiter);
  });
}

void ResolverThread::run(Work work) {
  loop_.post([this, work = std::move(work)] { work(resolver_, *dns_); });
}

void ResolverThread::reload(const config::Config& config) {
  loop_.post([this, dns = dns_options(config), discovery = discovery_settings(config),
              resolver = resolver_options(config)]() mutable {
    dns_->reconfigure(std::move(dns));
    discovery_.set_settings(discovery);
    resolver_.set_options(resolver);
  });
}

double ResolverThread::jitter() {
  return std::uniform_real_distribution<double>(0.0, 1.0)(random_);
}

}  // namespace mtastsd::daemon
