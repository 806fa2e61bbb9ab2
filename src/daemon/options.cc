#include "options.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "mtastsd/https/proxy_credentials.h"

namespace mtastsd::daemon {
namespace {

// For the sockets of DNS and HTTPS, each of which can have a second address tried beside the first,
// and for files.
constexpr std::size_t kReservedDescriptors = 600;
constexpr std::size_t kUsualDescriptors = 1024;

}  // namespace

std::size_t most_connections(std::size_t max_connections, std::size_t descriptors) {
  const std::size_t reserved = std::min(kReservedDescriptors, descriptors / 4 * 3);
  return std::clamp<std::size_t>(descriptors - reserved, 1, max_connections);
}

std::size_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : kUsualDescriptors;
}

answer::AnswerOptions answer_options(const config::Config& config) {
  return {.profiles = answer::Profiles(config.maps.begin(), config.maps.end()),
          .answer_timeout = config.resolver.answer_timeout};
}

std::vector<std::string> observing_maps(const answer::Profiles& profiles) {
  std::vector<std::string> names;
  for (const auto& [name, profile] : profiles) {
    if (profile.observe) {
      names.push_back(name);
    }
  }
  return names;
}

socketmap::ServerLimits server_limits(const config::Config& config) {
  socketmap::ServerLimits limits;
  limits.held_bytes /= config.socketmap.threads;
  return limits;
}

resolver::Options resolver_options(const config::Config& config) {
  const config::Resolver& from = config.resolver;
  resolver::Options options;
  options.limits = {.recheck_min = from.recheck_min,
                    .recheck_max = from.recheck_max,
                    .negative_min = from.negative_min,
                    .negative_max = from.negative_max,
                    .retry_interval = from.retry_interval,
                    .refresh_interval = from.refresh_interval,
                    .idle_after = from.idle_after};
  options.fetch_timeout = config.https.timeout;
  options.patience = from.answer_timeout;
  return options;
}

discovery::Settings discovery_settings(const config::Config& config) {
  return {.allow_networks = config.https.allow_networks,
          .allow_local_addresses = config.https.allow_local_addresses,
          .addresses = config.https.addresses};
}

dns::AresOptions dns_options(const config::Config& config) {
  dns::AresOptions options;
  options.servers = config.dns.servers;
  options.resolv_conf = config.dns.resolv_conf;
  options.timeout = config.dns.timeout;
  options.trust_ad = config.dns.trust_ad;
  options.probe_dnssec = std::any_of(config.maps.begin(), config.maps.end(),
                                     [](const auto& map) { return map.second.dane; });
  return options;
}

https::CurlOptions https_options(const config::Config& config) {
  https::CurlOptions options;
  options.port = config.https.port;
  options.proxy = config.https.proxy;
  // check_environment() has said what is wrong with the file.
  options.proxy_credentials =
      https::read_proxy_credentials(config.https.proxy_credentials).value_or("");
  options.sources = config.https.source_address;
  return options;
}

unsigned fetch_threads(const config::Config& config) {
  constexpr unsigned kMost = 4;
  return config.https.threads != 0 ? config.https.threads
                                   : std::clamp(std::thread::hardware_concurrency(), 1U, kMost);
}

std::string cache_directory(const config::Config& config) {
  return config.cache.directory.empty() ? config::default_cache_directory()
                                        : config.cache.directory;
}

cache::StoreOptions store_options(const config::Config& config, const Clock& clock) {
  cache::StoreOptions options;
  options.directory = cache_directory(config);
  options.max_size = config.cache.max_size;
  options.max_negative = config.cache.max_negative;
  options.versions = config.cache.history;
  options.clock = &clock;
  return options;
}

}  // namespace mtastsd::daemon
