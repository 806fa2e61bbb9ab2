#include "check_setup.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "daemon.h"
#include "mtastsd/base/text.h"
#include "mtastsd/cache/cache_view.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/config/config.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

constexpr Milliseconds kLeastTimeout{1000};
constexpr Milliseconds kLongestTimeout{600000};
constexpr std::size_t kMaxDomains = 10000;

Result<std::vector<DomainName>, std::string> parse_domains(const std::vector<std::string>& texts) {
  if (texts.empty()) {
    return failure(std::string("check: name a domain, such as \"mtastsctl check example.com\""));
  }
  if (texts.size() > kMaxDomains) {
    return failure("check: at most " + std::to_string(kMaxDomains) + " domains at once");
  }
  std::vector<DomainName> domains;
  for (const std::string& text : texts) {
    const auto domain = DomainName::parse_utf8(text);
    if (!domain) {
      return failure("check: '" + printable(text) + "' is not a domain name");
    }
    domains.push_back(*domain);
  }
  return domains;
}

// What this host says it is called; a name that RFC 5321 section 4.1.1.1 allows.
std::string own_name() {
  std::array<char, 256> text{};
  gethostname(text.data(), text.size() - 1);
  const auto name = DomainName::parse(text.data());
  return name ? name->str() : "localhost";
}

using CachedFact = check::Fact<check::CachedPolicy>;

CachedFact cached_fact(const cache::EntryPtr& entry) {
  if (!entry || !entry->policy) {
    return CachedFact::none();
  }
  const cache::StoredPolicy& policy = *entry->policy;
  return CachedFact::is({policy.id, policy.text, policy.fetched_at, policy.expires_at()});
}

CachedFact look_up(const Settings& settings, const DomainName& domain) {
  const auto found = find_entry(settings, domain);
  return found ? cached_fact(found->entry) : CachedFact::unknown(found.error());
}

// Without a daemon and its cache nothing is said about them.
void set_up_cache(const Settings& settings, CheckSetup& setup) {
  if (!connect_to_daemon(settings)) {
    const auto view = cache::CacheView::open(cache_directory(settings));
    if (!view && view.error().problem == cache::CacheView::Problem::NoCache) {
      return;
    }
  }
  setup.read_cache = [settings](const DomainName& domain) { return look_up(settings, domain); };
}

Result<void, std::string> set_up_network(const CheckArguments& arguments,
                                         const config::Config& config, CheckSetup& setup) {
  const auto timeout = config::parse_duration(arguments.timeout);
  if (!timeout || *timeout < kLeastTimeout || *timeout > kLongestTimeout) {
    return failure("--timeout: '" + arguments.timeout + "' is not a duration between 1s and 10m");
  }
  for (const std::string& server : arguments.dns) {
    if (!dns::valid_server(server)) {
      return failure("--dns: '" + server +
                     "' is not the address of a server, such as 192.0.2.53 or [2001:db8::53]:53");
    }
  }
  setup.dns = {.servers = arguments.dns.empty() ? config.dns.servers : arguments.dns,
               .resolv_conf = config.dns.resolv_conf,
               .timeout = std::min(config.dns.timeout, *timeout)};
  std::string ca_file = arguments.ca_file.empty() ? config.https.ca_file : arguments.ca_file;
  if (ca_file.empty()) {
    ca_file = https::system_ca_file();
  }
  if (ca_file.empty() || ::access(ca_file.c_str(), R_OK) != 0) {
    return failure("check: no certificate authorities were found" +
                   (ca_file.empty() ? "" : " in " + ca_file) +
                   ": install ca-certificates, or name a PEM file with --ca-file");
  }
  setup.https = {
      .ca_file = ca_file,
      .port = arguments.port != 0 ? static_cast<std::uint16_t>(arguments.port) : config.https.port,
      .proxy = config.https.proxy,
      .observe = true};
  setup.discovery = {.allow_local_addresses = config.https.allow_local_addresses,
                     .for_report = true};
  setup.gather = {.timeout = *timeout,
                  .fetch_timeout = config.https.timeout,
                  .smtp = arguments.smtp,
                  .resolver_trusted = !setup.dns.servers.empty(),
                  .ca_file = ca_file,
                  .helo = own_name()};
  return {};
}

}  // namespace

Result<CheckSetup, std::string> make_setup(CheckArguments& arguments) {
  CheckSetup setup;
  auto domains = parse_domains(arguments.domains);
  if (!domains) {
    return failure(std::move(domains.error()));
  }
  setup.domains = std::move(*domains);
  if (arguments.json || arguments.format == "json") {
    setup.format = CheckFormat::Json;
  } else if (arguments.format == "markdown") {
    setup.format = CheckFormat::Markdown;
  }
  setup.fail_on = check::parse_severity(arguments.fail_on).value();
  setup.colour = term::look_at(STDOUT_FILENO).colours;
  if (auto loaded = arguments.settings.load(); !loaded) {
    return failure(loaded.error());
  }
  const config::Config& config = arguments.settings.config;
  if (auto set_up = set_up_network(arguments, config, setup); !set_up) {
    return failure(std::move(set_up.error()));
  }
  set_up_cache(arguments.settings, setup);
  return setup;
}

}  // namespace mtastsd::ctl
