#include "vet.h"

#include <utility>
#include <variant>

namespace mtastsd::discovery {
namespace {

using Problem = HostAddresses::Problem;

// Adds the addresses of one family that may be used, and says what is wrong if there is none.
Problem take(const dns::AddressAnswer& answer, bool usable_family, bool allow_local,
             HostAddresses& result, std::string& detail) {
  if (!answer) {
    detail = describe(answer.error());
    return Problem::DnsFailed;
  }
  const auto* found = std::get_if<dns::Addresses>(&*answer);
  if (found == nullptr || found->addresses.empty()) {
    return Problem::NoAddress;
  }
  std::size_t taken = 0;
  Problem problem = Problem::OnlyIpv6;
  for (const IpAddress& address : found->addresses) {
    if (!allow_local && address.is_local()) {
      problem = Problem::OnlyLocal;
      detail = address.str();
    } else if (usable_family && taken < kMaxAddressesPerFamily) {
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
      return host.str() + " has no address";
    case Problem::OnlyLocal:
      return host.str() + " has only local addresses (" + detail +
             "), which [https] allow_local_addresses forbids";
    case Problem::OnlyIpv6:
      return host.str() + " has only IPv6 addresses, and this host has no route to them";
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
      const bool usable_family = family == &v4 || rules.use_ipv6;
      const Problem problem = take(**family, usable_family, rules.allow_local, result, text);
      if (problem > result.problem) {
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
