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

// The result of looking for one thing. What could not be determined never counts as absent.
template <typename T>
struct Fact {
  Outcome outcome = Outcome::CannotTell;
  std::string why = "timeout";  // for CannotTell; can also give details for Absent
  T value{};                    // for Known

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
  std::vector<std::string> chain;  // of CNAMEs; also if they lead to no record
  bool dangling = false;           // they lead to a name that does not exist
  Seconds ttl{0};
  bool authenticated = false;
};

struct AddressRecords {
  std::vector<IpAddress> v4;
  std::vector<IpAddress> v6;
  std::vector<std::string> chain;  // also if it leads to no address
};

// How many addresses of one MX host are connected to. Of a policy host it is all that are listed.
inline constexpr std::size_t kMaxMxAddressesTried = 4;

// An attempt to get the policy from one host.
struct Fetch {
  https::Observation seen;
  std::optional<https::Error> error;
  std::string body;  // if there is no error
};

struct PolicyHost {
  std::string name;
  Fact<AddressRecords> addresses;
  // Absent: there is no address to fetch from. Of several addresses it is the one that counts for
  // senders that try the next address: the first that gives a policy, or else the most telling
  // failure.
  Fact<Fetch> fetch;
  std::vector<Fetch> by_address;  // of each address that was tried, if there are several
};

// What a mail server did. `certificate` is set if the TLS handshake got that far.
struct Smtp {
  std::string address;
  bool starttls = false;
  std::string tls_version;
  std::string tls_error;  // if the handshake failed, but not because of the certificate
  std::optional<https::Certificate> certificate;
};

struct MxHost {
  std::uint16_t preference = 0;
  std::string host;                // as published
  std::optional<DomainName> name;  // nullopt: not the name of a host
  Fact<AddressRecords> addresses;
  Fact<std::vector<dns::Tlsa>> tlsa;
  bool tlsa_authenticated = false;
  // If Facts::smtp_asked: one for each address that was tried, or one if there is none to try.
  std::vector<Fact<Smtp>> smtp;
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

// The policy that the mtastsd on this host has cached.
struct CachedPolicy {
  std::string id;
  std::string text;
  WallTime fetched_at{};
  WallTime expires_at{};
};

// Everything that a report is based on.
struct Facts {
  std::string domain;
  std::string typed;  // the domain in Unicode, if it was given so
  WallTime at{};      // the time of the check
  bool smtp_asked = false;
  bool cache_asked = false;
  bool domain_exists = true;  // false: NXDOMAIN

  Fact<TextRecords> record;     // at _mta-sts.<domain>
  Fact<TextRecords> apex_text;  // at <domain>, where a record can be by mistake
  PolicyHost policy_host;       // mta-sts.<domain>
  PolicyHost apex_host;         // <domain>, checked only if the policy host has no policy
  Fact<MailServers> mail;       // Absent: neither MX nor address
  Fact<TextRecords> tlsrpt;     // at _smtp._tls.<domain>
  // Whether the DNS server in use validates DNSSEC, according to its answer about the root zone.
  // CannotTell also if the server is not known to be trusted.
  Fact<bool> validating;
  Fact<CachedPolicy> cached;  // if cache_asked
};

}  // namespace mtastsd::check
