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
  Everywhere,  // validated records at each MX host
  Partly,      // at some
  Unsigned,    // there are some, and DNSSEC does not vouch for them
  CannotTell,
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

  std::optional<TlsRptRecord> tlsrpt;
  std::optional<mtasts::ParseError> tlsrpt_error;
  std::size_t tlsrpt_claims = 0;

  Dane dane = Dane::CannotTell;
  std::string dane_why;  // for CannotTell
};

Analysis analyse(const Facts& facts);

// The time that an id looks like: "20261122", "20261122093000", with "T" or "Z" or not, or
// seconds since 1970.
std::optional<WallTime> time_of_id(std::string_view id);

// Days until `end`, rounded down; negative for what is over.
std::int64_t days_left(WallTime end, WallTime now);

}  // namespace mtastsd::check
