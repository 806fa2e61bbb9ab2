#include "resolver_thread.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "options.h"

namespace mtastsd::daemon {
namespace {

constexpr std::chrono::minutes kRouteCheckInterval{1};

// Whether this host could send to the IPv6 internet. Nothing is sent: connecting a datagram
// socket only looks up a route. The address is one for documentation (RFC 3849).
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

}  // namespace

ResolverThread::ResolverThread(const config::Config& config, const Clock& clock,
                               cache::LmdbStore& store, Log& log)
    : clock_(clock),
      local_addresses_(config.https.allow_local_addresses),
      dns_(loop_, clock, log, dns_options(config)),
      fetcher_(loop_, log, https_options(config)),
      resolver_({clock, loop_, dns_, fetcher_, store, log, [this] { return jitter(); },
                 [this] { return has_ipv6(); }},
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

void ResolverThread::ask(const DomainName& domain, resolver::Waiter waiter) {
  loop_.post([this, domain, waiter = std::move(waiter)]() mutable {
    resolver_.ask(domain, std::move(waiter));
  });
}

void ResolverThread::run(Work work) {
  loop_.post([this, work = std::move(work)] { work(resolver_, dns_); });
}

void ResolverThread::reload(const config::Config& config) {
  loop_.post([this, dns = dns_options(config), options = resolver_options(config)]() mutable {
    dns_.reconfigure(std::move(dns));
    resolver_.set_options(options);
    local_addresses_ = options.allow_local_addresses;
    ipv6_checked_ = {};
  });
}

double ResolverThread::jitter() {
  return std::uniform_real_distribution<double>(0.0, 1.0)(random_);
}

bool ResolverThread::has_ipv6() {
  const SteadyTime now = clock_.steady();
  if (ipv6_checked_ == SteadyTime{} || now - ipv6_checked_ > kRouteCheckInterval) {
    // The loopback address has IPv6 without a route to anywhere.
    ipv6_ = local_addresses_ || has_ipv6_route();
    ipv6_checked_ = now;
  }
  return ipv6_;
}

}  // namespace mtastsd::daemon
