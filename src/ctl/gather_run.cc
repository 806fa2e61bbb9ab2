#include "gather_run.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "mtastsd/base/text.h"
#include "mtastsd/config/config.h"
#include "mtastsd/https/authorities.h"
#include "mtastsd/https/proxy_credentials.h"
#include "trouble.h"

namespace mtastsd::ctl {
namespace {

constexpr Milliseconds kProgressEvery{200};
constexpr Milliseconds kLeastTimeout{1000};
constexpr Milliseconds kLongestTimeout{600000};

// What this host says it is called; a name that RFC 5321 section 4.1.1.1 allows.
std::string own_name() {
  std::array<char, 256> text{};
  gethostname(text.data(), text.size() - 1);
  const auto name = DomainName::parse(text.data());
  return name ? name->str() : "localhost";
}

std::string authorities(const GatherArguments& arguments, const config::Config& config) {
  std::string file = arguments.ca_file.empty() ? config.https.ca_path() : arguments.ca_file;
  if (file.empty()) {
    file = https::system_ca_file();
  }
  if (file.empty() || ::access(file.c_str(), R_OK) != 0) {
    throw Trouble(arguments.verb + ": no certificate authorities were found" +
                  (file.empty() ? "" : " in " + file) +
                  ": install ca-certificates, or name a PEM file with --ca-file");
  }
  return file;
}

}  // namespace

GatherSetup make_gather_setup(const GatherArguments& arguments, const config::Config& config) {
  const auto timeout = config::parse_duration(arguments.timeout);
  if (!timeout || *timeout < kLeastTimeout || *timeout > kLongestTimeout) {
    throw Trouble("--timeout: '" + arguments.timeout + "' is not a duration between 1s and 10m");
  }
  for (const std::string& server : arguments.dns) {
    if (!dns::valid_server(server)) {
      throw Trouble("--dns: '" + server +
                    "' is not the address of a server, such as 192.0.2.53 or [2001:db8::53]:53");
    }
  }
  const std::string ca_file = authorities(arguments, config);
  GatherSetup setup;
  setup.dns = {.servers = arguments.dns.empty() ? config.dns.servers : arguments.dns,
               .resolv_conf = config.dns.resolv_conf,
               .timeout = std::min(config.dns.timeout, *timeout)};
  auto credentials = https::read_proxy_credentials(config.https.proxy_credentials);
  if (!credentials) {
    throw Trouble(arguments.verb + ": https.proxy_credentials: " + credentials.error());
  }
  setup.https = {
      .ca_file = ca_file,
      .port = arguments.port != 0 ? static_cast<std::uint16_t>(arguments.port) : config.https.port,
      .proxy = config.https.proxy,
      .observe = true,
      .proxy_credentials = *std::move(credentials),
      .sources = config.https.source_address};
  setup.discovery = {.allow_networks = config.https.allow_networks,
                     .allow_local_addresses = config.https.allow_local_addresses,
                     .addresses = config.https.addresses,
                     .for_report = true};
  setup.gather = {.timeout = *timeout,
                  .fetch_timeout = config.https.timeout,
                  .smtp = arguments.smtp,
                  .resolver_trusted = !setup.dns.servers.empty(),
                  .ca_file = ca_file,
                  .helo = own_name()};
  return setup;
}

GatherRun::GatherRun(const GatherSetup& setup, std::vector<DomainName> domains, std::size_t at_once,
                     const char* doing)
    : domains_(std::move(domains)),
      at_once_(at_once),
      log_(Log::null()),
      dns_(dns::AresClient::make(loop_, clock_, log_, setup.dns)),
      dialer_(https::make_tcp_dialer(loop_, setup.https.port, setup.https.sources)),
      fetcher_(https::make_curl_fetcher(loop_, log_, setup.https)),
      discovery_({loop_, *dns_, *dialer_, *fetcher_}, setup.discovery),
      gatherer_({loop_, clock_, *dns_, discovery_}, setup.gather),
      gatherings_(domains_.size()),
      progress_(doing, domains_.size()),
      progress_timer_(loop_.make_timer([this] { show_progress(); })) {}

GatherRun::~GatherRun() = default;

void GatherRun::run(Done done) {
  done_ = std::move(done);
  if (domains_.empty()) {
    return;
  }
  start_more();
  show_progress();
  loop_.run();
}

void GatherRun::start_more() {
  while (started_ < domains_.size() && running_ < at_once_) {
    const std::size_t place = started_++;
    ++running_;
    gatherings_[place] = gatherer_.start(
        domains_[place], [this, place](check::Facts facts) { finished(place, std::move(facts)); });
  }
}

void GatherRun::finished(std::size_t place, check::Facts facts) {
  --running_;
  ++finished_;
  done_(place, std::move(facts));
  start_more();
  if (finished_ == domains_.size()) {
    loop_.stop();
  }
  gatherings_[place].reset();
}

void GatherRun::show_progress() {
  progress_.step(finished_);
  progress_timer_->arm(kProgressEvery);
}

}  // namespace mtastsd::ctl
