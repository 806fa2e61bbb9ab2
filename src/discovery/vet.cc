#include "vet.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include "mtastsd/base/special_use.h"

namespace mtastsd::discovery {
namespace {

using Problem = HostAddresses::Problem;

// Why this address is not to be connected to; empty: it may be.
std::string_view forbidden_use(const IpAddress& address, const VettingRules& rules) {
  const std::string_view use = rules.allow_all ? std::string_view() : special_use(address);
  const bool allowed =
      !use.empty() && std::any_of(rules.allow_networks.begin(), rules.allow_networks.end(),
                                  [&, v4 = address.embedded_v4()](const IpNetwork& network) {
                                    return network.contains(address) ||
                                           (v4 && network.contains(*v4));
                                  });
  return allowed ? std::string_view() : use;
}

// Adds the addresses of one family that may be used, and says what is wrong if there is none.
Problem take(const dns::AddressAnswer& answer, const VettingRules& rules, HostAddresses& result,
             std::string& detail) {
  if (!answer) {
    detail = describe(answer.error());
    return Problem::DnsFailed;
  }
  const auto* found = std::get_if<dns::Addresses>(&*answer);
  if (found == nullptr || found->addresses.empty()) {
    detail = dns::describe_dead_end(answer.provenance, "address");
    return Problem::NoAddress;
  }
  std::size_t taken = 0;
  Problem problem = Problem::None;
  for (const IpAddress& address : found->addresses) {
    if (const std::string_view use = forbidden_use(address, rules); !use.empty()) {
      problem = Problem::Forbidden;
      detail = address.str() + " is special (" + std::string(use) + ")";
    } else if (taken < kMaxAddressesPerFamily) {
      result.usable.push_back(address);
      ++taken;
    }
  }
  return taken > 0 ? Problem::None : problem;
}

std::string describe(const DomainName& host, Problem problem, const std::string& detail) {
  switch (problem) {
    case Problem::None:
      return {};
    case Problem::NoAddress:
      return host.str() + " has no address" + detail;
    case Problem::Forbidden:
      return host.str() + " has no public address: " + detail +
             ", and [https] allow_networks does not name it";
    case Problem::DnsFailed:
      return host.str() + ": DNS: " + detail;
  }
  return {};
}

}  // namespace

HostAddresses vet(const DomainName& host, const VettingRules& rules,
                  const std::optional<dns::AddressAnswer>& v4,
                  const std::optional<dns::AddressAnswer>& v6) {
  HostAddresses result;
  result.by_proxy = rules.by_proxy;
  if (!rules.by_proxy) {
    result.problem = Problem::NoAddress;
    std::string detail;
    for (const auto* family : {&v6, &v4}) {
      if (!*family) {
        continue;
      }
      std::string text;
      const Problem problem = take(**family, rules, result, text);
      if (problem >= result.problem) {
        result.problem = problem;
        detail = std::move(text);
      }
    }
    if (!result.usable.empty()) {
      result.problem = Problem::None;
    }
    result.detail = describe(host, result.problem, detail);
  }
  return result;
}

}  // namespace mtastsd::discovery
