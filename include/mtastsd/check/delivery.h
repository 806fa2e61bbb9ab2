#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/check/facts.h"
#include "mtastsd/mtasts/policy.h"

namespace mtastsd::check {

// What would become of mail to a domain if these MX patterns were enforced now.
struct Delivery {
  enum class Outcome {
    Delivered,   // an MX host passes
    Deferred,    // each MX host that there is fails (RFC 8461 section 5)
    NoMail,      // the domain takes none, whatever is enforced
    CannotTell,  // it depends on what could not be found out
  };
  Outcome outcome = Outcome::CannotTell;
  std::string why;  // for people, a clause; empty: every MX host passes
};
std::string_view to_string(Delivery::Outcome outcome);  // "delivered", "deferred", "no-mail", ...

// By the names of the MX hosts alone, or with `smtp` also by what was found at them. Pure.
Delivery delivery_of(const std::vector<mtasts::MxPattern>& patterns, const Fact<MailServers>& mail,
                     bool smtp);

}  // namespace mtastsd::check
