#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/check/facts.h"
#include "mtastsd/mtasts/annotate.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/mtasts/txt_record.h"
#include "tlsrpt.h"

namespace mtastsd::check {

enum class Dane {
  None,        // no TLSA record at any MX host
  Everywhere,  // validated records at each MX host that senders can use
  Partly,      // at some
  Unsigned,    // there are some, and DNSSEC does not vouch for them
  CannotTell,
  Unusable,  // validated records, and none that a sender can use
};

// Where mail to the domain could not go if the policy were in mode enforce. A host that cannot be
// connected to by anybody is not counted.
struct Refusal {
  std::size_t hosts = 0;
  std::size_t refused_hosts = 0;  // not in the policy, or no address passes RFC 8461 section 4.2
  // Of the hosts that are not refused, and whose addresses were tried.
  std::size_t addresses = 0;
  std::size_t refused_addresses = 0;

  bool any() const { return refused_hosts > 0 || refused_addresses > 0; }
  bool all() const { return refused_hosts == hosts && hosts > 0; }
};

// What the library's parsers make of the facts: read once for findings, score and report. Holds
// views into the facts.
struct Analysis {
  // Of the TXT records, when these are known or absent.
  std::optional<mtasts::TxtRecord> record;
  std::optional<mtasts::TxtError> record_error;
  std::vector<std::string> near_misses;  // records that were probably meant to be one
  bool record_at_apex = false;
  std::optional<WallTime> id_time;  // when the id looks like one

  // Of the policy, when it was fetched.
  std::optional<mtasts::AnnotatedPolicy> lines;
  std::optional<mtasts::Policy> policy;
  bool policy_at_apex = false;

  // Of the MX hosts, when there is a policy whose patterns count (not mode none).
  bool mx_compared = false;
  std::vector<std::string> uncovered;
  std::vector<std::string> unused;
  Refusal refusal;

  std::optional<TlsRptRecord> tlsrpt;
  std::optional<mtasts::ParseError> tlsrpt_error;
  std::size_t tlsrpt_claims = 0;
  std::vector<std::string> tlsrpt_near_misses;  // records that were probably meant to be one

  Dane dane = Dane::CannotTell;
  std::string dane_why;  // for CannotTell
};

Analysis analyse(const Facts& facts);

// The time that an id looks like: "20261122", "20261122093000", with "T" or "Z" or not, or
// seconds since 1970.
std::optional<WallTime> time_of_id(std::string_view id);

// True if nobody can send mail to the domain although it does not say so by a null MX.
bool has_no_mail_server(const Facts& facts);

// RFC 8461 section 4.2: what mail is delivered to when a policy is enforced.
bool passes(const Smtp& smtp);

// The limits that count for the certificates of hosts that renew theirs in time: less than a third
// of the lifetime is left, and less than kFewDaysLeft.
bool expires_soon(const https::Certificate& certificate, WallTime now);

// How many of the host's TLSA records a sender can use (RFC 7672 section 3.1).
std::size_t usable_records(const MxHost& host);

// Days until `end`, rounded down; negative for what is over.
std::int64_t days_left(WallTime end, WallTime now);

}  // namespace mtastsd::check
