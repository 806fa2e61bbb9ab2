#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/base/result.h"
#include "mtastsd/discovery/record.h"
#include "mtastsd/dns/dns_client.h"
#include "mtastsd/https/dialer.h"
#include "mtastsd/https/policy_fetcher.h"
#include "mtastsd/mtasts/policy.h"

namespace mtastsd::event {
class Timers;
}

namespace mtastsd::discovery {

// Where a host can be connected to.
struct HostAddresses {
  // In the order of how much they tell: of the problems of two families the last one counts.
  enum class Problem {
    None,
    NoAddress,
    DnsFailed,
    Forbidden,  // only addresses that no public host has, and that Settings does not allow
  };
  // The addresses to try, in this order: IPv6 first, at most kMaxAddressesPerFamily of each family.
  // Whether this host has a route to one of them shows when it is connected to. Empty with a proxy,
  // which looks the name up itself.
  std::vector<IpAddress> usable;
  bool by_proxy = false;
  Problem problem = Problem::None;  // why there is none to try
  std::string detail;               // the same for people; empty for None

  // With Settings::for_report, what DNS said of each family; nullopt: it was too late.
  std::optional<dns::AddressAnswer> v4;
  std::optional<dns::AddressAnswer> v6;

  bool can_connect() const { return by_proxy || !usable.empty(); }
};
inline constexpr std::size_t kMaxAddressesPerFamily = 8;

// Why a policy host gave no policy, by the result types of RFC 8460 section 4.3.
struct PolicyFailure {
  enum class Kind {
    Fetch,        // sts-policy-fetch-error
    Certificate,  // sts-webpki-invalid
    Syntax,       // sts-policy-invalid
  };
  Kind kind = Kind::Fetch;
  std::string detail;  // for people
};

// The connection to a policy host, or why there is none.
using Connected = Result<https::Connection, PolicyFailure>;

// What a policy host gave.
struct FetchedPolicy {
  https::FetchResult fetched;  // the body as it came, or the error
  Result<mtasts::Policy, PolicyFailure> policy = failure(PolicyFailure{});
};

// The same from a fetch that has ended.
FetchedPolicy read_policy(https::FetchResult fetched);

// A step under way. Dropping it cancels: after that the callback never runs.
class Step {
 public:
  virtual ~Step() = default;
};
using Handle = std::unique_ptr<Step>;

struct Settings {
  // Addresses of special use (base/special_use.h) are connected to if they are in one of these
  // networks, or all of them with allow_local_addresses.
  std::vector<IpNetwork> allow_networks;
  bool allow_local_addresses = false;
  // Of policy hosts that are not looked up: the operator's word, which needs no allow_networks. It
  // counts for these names alone, and not behind a proxy.
  std::map<DomainName, std::vector<IpAddress>> addresses;
  // Looks up addresses behind a proxy as well, and hands on what DNS said. What is usable stays the
  // same.
  bool for_report = false;
};

// Everything it needs from outside, owned by the caller and outliving it.
struct Services {
  event::Timers& timers;
  dns::DnsClient& dns;
  https::Dialer& dialer;
  https::PolicyFetcher& fetcher;
};

// Finds a domain's policy: TXT record, addresses of the policy host, connection, policy (RFC 8461
// sections 3.1 to 3.3). Each step is asynchronous and stands alone, so that the caller decides
// which of them it wants, and when. A callback runs at most once, on the thread of the timers,
// never before its step was returned and never from a destructor; it may drop its own step. Every
// step ends by itself: the clients bound their time.
class Discovery {
 public:
  Discovery(Services services, Settings settings);

  // Looks up the TXT record.
  [[nodiscard]] Handle record(const DomainName& domain, std::function<void(Record)> callback);

  // Looks up where a policy host is. Once one family of addresses is known, the other is waited for
  // one second longer. With a proxy there is nothing to look up.
  [[nodiscard]] Handle policy_host(const DomainName& host,
                                   std::function<void(HostAddresses)> callback);

  // The same for a mail server, which is not reached by proxy.
  [[nodiscard]] Handle mail_host(const DomainName& host,
                                 std::function<void(HostAddresses)> callback);

  // Connects to one of the addresses that can_connect(), within `limit`. With a proxy it succeeds
  // with an empty connection.
  [[nodiscard]] Handle connect(const HostAddresses& addresses, Milliseconds limit,
                               std::function<void(Connected)> callback);

  // Fetches and parses the policy of `policy_host` over the connection.
  [[nodiscard]] Handle policy(const DomainName& policy_host, https::Connection connection,
                              https::FetchLimits limits,
                              std::function<void(FetchedPolicy)> callback);

  // For steps that begin from now on.
  void set_settings(Settings settings) { settings_ = std::move(settings); }

 private:
  Services services_;
  Settings settings_;
};

}  // namespace mtastsd::discovery
