#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis.h"
#include "mtastsd/check/facts.h"
#include "mtastsd/mtasts/policy.h"

namespace mtastsd::check {

// What a domain should publish for the MX hosts that it has today, in the phase of the roll-out
// that it is in.
struct Plan {
  mtasts::Policy policy;
  std::string id;
  bool new_policy = false;  // another one than what is served
  bool new_record = false;
};

// nullopt if there is no MX host that a policy could name, or if they are unknown.
std::optional<Plan> make_plan(const Facts& facts, const Analysis& analysis);

// An id that the domain does not have now: the time of the check as 14 digits.
std::string new_id(const Facts& facts, const Analysis& analysis);

// Lines of a zone file.
std::string record_line(const Facts& facts, std::string_view id);
std::string reports_line(const Facts& facts, const Analysis& analysis);

std::string policy_url(const Facts& facts);
std::vector<std::string> lines_of(const mtasts::Policy& policy);
std::vector<std::string> nginx_lines(const Facts& facts);
std::vector<std::string> caddy_lines(const Facts& facts);

// Who serves the record or the policy, if it is not the domain itself: where the CNAMEs end.
std::optional<std::string> provider_of_record(const Facts& facts);
std::optional<std::string> provider_of_policy(const Facts& facts);

}  // namespace mtastsd::check
