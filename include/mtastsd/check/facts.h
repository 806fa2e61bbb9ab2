#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/dns/dns_client.h"
#include "mtastsd/https/observation.h"
#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::check {

enum class Outcome { Known, Absent, CannotTell };

// One thing that was looked for. What could not be found out is never taken for absent.
template <typename T>
struct Fact {
  Outcome outcome = Outcome::CannotTell;
  std::string why = "not found out in time";  // for CannotTell; of Absent it may say more
  T value{};                                  // for Known

  bool known() const { return outcome == Outcome::Known; }
  bool absent() const { return outcome == Outcome::Absent; }
  bool cannot_tell() const { return outcome == Outcome::CannotTell; }

  static Fact is(T value) { return {Outcome::Known, "", std::move(value)}; }
  static Fact none(std::string why = "") { return {Outcome::Absent, std::move(why), {}}; }
  static Fact unknown(std::string why) { return {Outcome::CannotTell, std::move(why), {}}; }
};

// All TXT records of a name.
struct TextRecords {
  std::vector<std::string> records;
  std::vector<std::string> chain;  // of CNAMEs
  Seconds ttl{0};
  bool authenticated = false;
};

struct AddressRecords {
  std::vector<IpAddress> v4;
  std::vector<IpAddress> v6;
  std::vector<std::string> chain;
};

// A try to get the policy from one host.
struct Fetch {
  https::Observation seen;
  std::optional<https::Error> error;
  std::string body;  // without an error
};

struct PolicyHost {
  std::string name;
  Fact<AddressRecords> addresses;
  Fact<Fetch> fetch;  // Absent: there is nothing to fetch from
};

// What a mail server did. `certificate` is there once the TLS handshake came so far.
struct Smtp {
  std::string address;
  bool starttls = false;
  std::string tls_version;
  std::string tls_error;  // the handshake failed, other than by the certificate
  std::optional<https::Certificate> certificate;
};

struct MxHost {
  std::uint16_t preference = 0;
  std::string host;                // as published
  std::optional<DomainName> name;  // nullopt: not the name of a host
  Fact<AddressRecords> addresses;
  Fact<std::vector<dns::Tlsa>> tlsa;
  bool tlsa_authenticated = false;
  Fact<Smtp> smtp;  // when Facts::smtp_asked
};

struct MailServers {
  std::vector<MxHost> hosts;  // by preference; the first kMaxMxHosts
  std::size_t left_out = 0;
  bool null_mx = false;   // RFC 7505
  bool implicit = false;  // no MX record: the domain itself (RFC 5321 section 5.1)
  std::vector<std::string> chain;
  Seconds ttl{0};
  bool authenticated = false;
};
inline constexpr std::size_t kMaxMxHosts = 20;

// The policy that this host's mtastsd holds.
struct CachedPolicy {
  std::string id;
  std::string text;
  WallTime fetched_at{};
  WallTime expires_at{};
};

// Everything that a report is made from.
struct Facts {
  std::string domain;
  WallTime at{};  // when it was looked at
  bool smtp_asked = false;
  bool cache_asked = false;
  bool domain_exists = true;  // false: NXDOMAIN

  Fact<TextRecords> record;     // at _mta-sts.<domain>
  Fact<TextRecords> apex_text;  // at <domain>, where a record may stand by mistake
  PolicyHost policy_host;       // mta-sts.<domain>
  PolicyHost apex_host;         // <domain>, looked at only when the policy host has no policy
  Fact<MailServers> mail;       // Absent: neither MX nor address
  Fact<TextRecords> tlsrpt;     // at _smtp._tls.<domain>
  // Whether the resolver in use validates DNSSEC, by its word on the root zone. CannotTell also
  // for a resolver that nobody has said to be trusted.
  Fact<bool> validating;
  Fact<CachedPolicy> cached;  // when cache_asked
};

}  // namespace mtastsd::check
