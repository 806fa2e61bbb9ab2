#include "mx_hosts.h"

#include <algorithm>
#include <tuple>
#include <variant>

#include "mtastsd/base/clock.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "mtastsd/mtasts/mx_match.h"

namespace mtastsd::ctl {
namespace {

constexpr Milliseconds kTick{100};

std::vector<MxHost> hosts_of(const dns::MxRecords& found) {
  std::vector<MxHost> hosts;
  for (const dns::Mx& record : found.records) {
    if (record.host != ".") {
      hosts.push_back({record.preference, record.host, std::nullopt});
    }
  }
  std::sort(hosts.begin(), hosts.end(), [](const MxHost& a, const MxHost& b) {
    return std::tie(a.preference, a.host) < std::tie(b.preference, b.host);
  });
  return hosts;
}

}  // namespace

Result<std::vector<MxHost>, std::string> mx_hosts(const Settings& settings,
                                                  const DomainName& domain,
                                                  const std::function<void()>& tick) {
  event::Loop loop;
  const SystemClock clock;
  Log log = Log::null();
  dns::AresOptions options;
  options.servers = settings.config.dns.servers;
  options.resolv_conf = settings.config.dns.resolv_conf;
  options.timeout = settings.config.dns.timeout;
  const auto client = dns::AresClient::make(loop, clock, log, std::move(options));

  Result<std::vector<MxHost>, std::string> result = std::vector<MxHost>();
  const auto question = client->mx(domain.str(), [&](const dns::Answer<dns::MxRecords>& got) {
    if (!got) {
      result = failure("the MX hosts of " + domain.str() +
                       " could not be looked up: " + describe(got.error()));
    } else if (const auto* found = std::get_if<dns::MxRecords>(&*got)) {
      result = hosts_of(*found);
    } else if (!got.provenance.no_such_name) {
      result = std::vector<MxHost>{{0, domain.str(), std::nullopt}};
    }
    loop.stop();
  });
  std::unique_ptr<event::Timer> timer;
  timer = loop.make_timer([&] {
    tick();
    timer->arm(kTick);
  });
  timer->arm(kTick);
  loop.run();
  return result;
}

void match(std::vector<MxHost>& hosts, const mtasts::Policy& policy) {
  for (MxHost& host : hosts) {
    const auto name = DomainName::parse(host.host);
    const auto found = std::find_if(
        policy.mx.begin(), policy.mx.end(),
        [&name](const mtasts::MxPattern& pattern) { return name && matches(pattern, *name); });
    if (found != policy.mx.end()) {
      host.pattern = *found;
    }
  }
}

}  // namespace mtastsd::ctl
