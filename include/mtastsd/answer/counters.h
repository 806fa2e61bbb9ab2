#pragma once

#include "mtastsd/base/counter.h"
#include "mtastsd/base/histogram.h"

namespace mtastsd::answer {

// Counted by one answering thread; any thread may read them.
struct Counters {
  Counter queries;        // requests read
  Counter enforced;       // answered with a policy
  Counter dane;           // answered with DANE, where there is a policy too
  Counter not_enforced;   // NOTFOUND: mode testing or none
  Counter overridden;     // answered as the operator decided, whatever is known of the domain
  Counter observed;       // NOTFOUND, from a map that only observes: another would say more
  Counter no_policy;      // NOTFOUND: the domain is known to have no policy
  Counter no_domain;      // NOTFOUND: the key names no policy domain
  Counter asked;          // waited for the resolver
  Counter timed_out;      // answered by answer_timeout instead
  Histogram answer_time;  // of those that waited; the others take microseconds
};

}  // namespace mtastsd::answer
