#include "ctl/check_setup.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "mtastsd/config/config.h"

namespace mtastsd::ctl {
namespace {

constexpr char kDefaultConfig[] = "/etc/mtastsd/mtastsd.toml";
constexpr Milliseconds kLeastTimeout{1000};
constexpr Milliseconds kLongestTimeout{600000};
constexpr std::size_t kMaxDomains = 10000;

Result<config::Config, std::string> load_config(std::string path) {
  if (path.empty() &&
      (::access(kDefaultConfig, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))) {
    path = kDefaultConfig;
  }
  if (path.empty()) {
    return config::defaults();
  }
  auto loaded = config::load(path);
  if (!loaded) {
    return failure(std::move(loaded.error().message));
  }
  return std::move(*loaded);
}

Result<std::vector<DomainName>, std::string> parse_domains(const std::vector<std::string>& texts) {
  if (texts.empty()) {
    return failure(std::string("check: name a domain, as in \"mtastsctl check example.com\""));
  }
  if (texts.size() > kMaxDomains) {
    return failure("check: at most " + std::to_string(kMaxDomains) + " domains at once");
  }
  std::vector<DomainName> domains;
  for (const std::string& text : texts) {
    const auto domain = DomainName::parse_utf8(text);
    if (!domain) {
      return failure("check: \"" + text + "\" is not a domain name");
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

bool can_colour() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0') &&
         terminal != nullptr && std::string_view(terminal) != "dumb";
}

Result<void, std::string> set_up_network(const CheckArguments& arguments,
                                         const config::Config& config, CheckSetup& setup) {
  const auto timeout = config::parse_duration(arguments.timeout);
  if (!timeout || *timeout < kLeastTimeout || *timeout > kLongestTimeout) {
    return failure("check: --timeout " + arguments.timeout + " is no time from 1s to 10m");
  }
  for (const std::string& server : arguments.dns) {
    if (!dns::valid_server(server)) {
      return failure("check: --dns " + server + " is no address of a server");
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
    return failure("check: no authorities to trust" + (ca_file.empty() ? "" : " in " + ca_file) +
                   ": install ca-certificates, or name a PEM file with --ca-file");
  }
  setup.https = {.ca_file = ca_file,
                 .port = arguments.port != 0 ? arguments.port : config.https.port,
                 .proxy = config.https.proxy};
  setup.gather = {.timeout = *timeout,
                  .fetch_timeout = config.https.timeout,
                  .smtp = arguments.smtp,
                  .allow_local_addresses = config.https.allow_local_addresses,
                  .resolver_trusted = !setup.dns.servers.empty(),
                  .ca_file = ca_file,
                  .helo = own_name()};
  return {};
}

}  // namespace

Result<CheckSetup, std::string> make_setup(const CheckArguments& arguments) {
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
  const auto fail_on = check::parse_severity(arguments.fail_on);
  if (!fail_on) {
    return failure("check: --fail-on " + arguments.fail_on +
                   " is none of info, low, medium and high");
  }
  setup.fail_on = *fail_on;
  setup.colour = can_colour();
  setup.show_progress = ::isatty(STDERR_FILENO) == 1;
  const auto config = load_config(arguments.config);
  if (!config) {
    return failure(config.error());
  }
  if (auto set_up = set_up_network(arguments, *config, setup); !set_up) {
    return failure(std::move(set_up.error()));
  }
  return setup;
}

}  // namespace mtastsd::ctl
