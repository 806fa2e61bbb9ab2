#pragma once

#include <string>

#include "mtastsd/base/result.h"
#include "mtastsd/doctor/facts.h"

namespace mtastsd::doctor {

struct Where {
  std::string postfix_config;  // a directory; empty: Postfix's own default
  std::string daemon_config;   // mtastsd.toml; empty: the daemon's default
  std::string online_domain;   // to ask mtastsd about; empty: none
};

// Runs Postfix's tools and looks at what its configuration names. Changes nothing. The error is a
// sentence that says what to do.
Result<Facts, std::string> gather(const Where& where);

}  // namespace mtastsd::doctor
