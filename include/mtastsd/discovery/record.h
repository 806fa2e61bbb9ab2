#pragma once

#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/dns/dns_client.h"

namespace mtastsd::discovery {

// What the TXT records at _mta-sts.<domain> say (RFC 8461 section 3.1).
struct Record {
  enum class Status {
    Found,     // exactly one record, and it is valid
    None,      // no record claims to be one
    Unusable,  // several records, or one that breaks the grammar
    DnsFailed  // DNS did not say
  };
  Status status = Status::DnsFailed;
  std::string id;         // Found
  Seconds ttl{0};         // how long the answer may be kept; 0 for DnsFailed
  std::string detail;     // for people: why there is no usable record; empty if Found
  dns::TxtAnswer answer;  // all of it, for a report
};

// The same from an answer at hand.
Record read_record(dns::TxtAnswer answer);

}  // namespace mtastsd::discovery
