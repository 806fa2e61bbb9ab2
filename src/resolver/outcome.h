#pragma once

#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::resolver {

// How a lookup ended, for those who wait, the store and the log.
struct Outcome {
  enum class Kind {
    Checked,         // nothing had to be fetched, or nothing may be yet
    RecordUnusable,  // the domain means to have a record, and it is not valid
    DnsFailed,
    FetchFailed,
    Fetched,
  };
  Kind kind = Kind::Checked;
  cache::Entry entry;
  Change change = Change::None;
  bool weaker = false;
  bool alarm = false;
  bool again = false;  // DnsFailed: as the last time
  std::string detail;  // for people: why there is no usable record or policy
  Milliseconds took{0};

  bool failed() const { return kind != Kind::Checked && kind != Kind::Fetched; }
};

void log_outcome(Log& log, const DomainName& domain, const Outcome& outcome, WallTime now);

}  // namespace mtastsd::resolver
