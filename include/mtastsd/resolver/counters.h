#pragma once

#include "mtastsd/base/counter.h"
#include "mtastsd/base/histogram.h"

namespace mtastsd::resolver {

// Counted by the resolver's thread; any thread may read them.
struct Counters {
  Counter resolutions;     // started
  Counter coalesced;       // queries that joined a running one
  Counter txt_failures;    // TXT could not be asked
  Counter fetches;         // HTTPS requests started
  Counter fetch_failures;  // without a valid policy at the end, of these by cache::FailureType:
  Counter fetch_errors;
  Counter policies_invalid;
  Counter certificates_invalid;
  Counter refreshes;        // resolutions started by the refresher
  Counter overload;         // refused: too many domains at once
  Counter surveys;          // of DANE, started
  Counter survey_failures;  // of these, something that matters could not be asked
  Counter dane_unknown;     // of these, nothing was known before either
  Counter mx_looks;         // at the MX records of domains with a policy in force
  Counter mx_failures;      // of these, DNS did not say
  Histogram look_up_time;   // of a domain, from its beginning in the queue
};

}  // namespace mtastsd::resolver
