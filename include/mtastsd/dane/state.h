#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"

// Whether DANE (RFC 7672) decides how mail to a domain is authenticated, as pure functions: from
// what was known and what a survey found to what holds now. RFC 8461 section 2: MTA-STS must not
// override a DANE validation that fails. There is no clock, no log and no I/O in here.
namespace mtastsd::dane {

inline constexpr std::size_t kMaxHosts = 16;  // MX hosts that are looked at, by preference
// How long what a survey found holds: the smallest TTL, within these bounds.
inline constexpr Seconds kMinLife{60};
inline constexpr Seconds kMaxLife{3600};
// For this long after it, the next survey is not waited for.
inline constexpr Seconds kStale{3600};
// When DNS could not be asked: until the next survey, and how long what was known before stands.
inline constexpr Seconds kRetry{60};
inline constexpr Seconds kHold{604800};
// Until the next survey where the DNS server gives no verdicts of DNSSEC that could be used.
inline constexpr Seconds kWithoutDnssec{600};

// Where the mail for a policy domain goes to.
struct Target {
  bool by_mx = true;  // false: to the domain's own host, as in "[host]:587"
  std::uint16_t port = 25;
  friend bool operator==(const Target&, const Target&) = default;
};
std::string describe(const Target& target);  // "MX hosts, port 25"

// What is known of one host's TLSA records at the target's port.
enum class HostStatus : std::uint8_t {
  Unknown = 0,   // they could not be asked for
  None = 1,      // none, or none that DNSSEC vouches for
  Unusable = 2,  // only such that no client can use
  Usable = 3,
};
std::string_view to_string(HostStatus status);  // "unknown", "none", "unusable", "usable"

struct Host {
  std::string name;
  HostStatus status = HostStatus::Unknown;
  WallTime known_at{};  // of the last good answer
  friend bool operator==(const Host&, const Host&) = default;
};

// What is known of the MX records.
enum class Mail : std::uint8_t {
  Unknown = 0,   // they could not be asked for
  Secure = 1,    // signed; also where the target needs none
  Insecure = 2,  // not signed: DANE does not apply (RFC 7672 section 2.2.1)
  Null = 3,      // the domain takes no mail (RFC 7505)
  NoDomain = 4,  // there is no such name
};
std::string_view to_string(Mail mail);  // "unknown", "secure", "insecure", "null", "no-domain"

enum class Ruling : std::uint8_t {
  Unknown = 0,
  DoesNotApply = 1,
  Applies = 2,  // a host has usable records, and DNSSEC vouches for the way to them
};
std::string_view to_string(Ruling ruling);  // "unknown", "does-not-apply", "applies"

// What answering decides on.
struct Facts {
  Ruling ruling = Ruling::Unknown;
  WallTime known_at{};    // what the ruling rests on
  WallTime checked_at{};  // of the last survey; epoch: there was none
  WallTime renew_at{};
  friend bool operator==(const Facts&, const Facts&) = default;
};

// What is known of one target of a domain.
struct State {
  Target target;
  Facts facts;
  Mail mail = Mail::Unknown;
  std::vector<Host> hosts;  // at most kMaxHosts, by preference; empty unless mail is Secure
  friend bool operator==(const State&, const State&) = default;
};

// --- answering --------------------------------------------------------------------------------

enum class Survey { NotNeeded, InBackground, First };

struct Verdict {
  Ruling ruling = Ruling::Unknown;
  // Whether a survey is called for, and whether the answer should wait for it.
  Survey survey = Survey::First;
  WallTime until{};  // with NotNeeded: the verdict stays the same until then
};

// What the facts mean at `now`. On the answer path.
Verdict judge(const Facts& facts, WallTime now);

// --- after a survey ---------------------------------------------------------------------------

struct FoundHost {
  std::string name;
  HostStatus status = HostStatus::Unknown;
  Seconds ttl{0};
  std::string detail;  // for people: why it is unknown, or what there is instead; may be empty
};

struct Found {
  Mail mail = Mail::Unknown;
  Seconds ttl{0};                 // of the MX records
  std::vector<FoundHost> hosts;   // at most kMaxHosts
  std::size_t more_hosts = 0;     // that were not looked at
  std::string detail;             // for people: why something is unknown; else empty
  std::string without_dnssec_at;  // the server whose verdicts cannot be used; else empty
};

// `before` may be null. Of what could not be asked, what was known before stands for kHold.
State after_survey(const State* before, const Target& target, const Found& found, WallTime now);

}  // namespace mtastsd::dane
