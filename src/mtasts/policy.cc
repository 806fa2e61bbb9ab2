#include "mtastsd/mtasts/policy.h"

#include "policy_reader.h"

namespace mtastsd::mtasts {

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::None:
      return "none";
    case Mode::Testing:
      return "testing";
    case Mode::Enforce:
      return "enforce";
  }
  return "none";
}

Result<Policy, ParseError> parse_policy(std::string_view body) {
  if (body.size() > kMaxPolicyBytes) {
    return failure(ParseError{kMaxPolicyBytes, "longer than 65536 bytes"});
  }
  PolicyReader reader(body);
  while (const auto line = reader.next()) {
    if (verdict_of(line->issue) == LineVerdict::Error) {
      return failure(ParseError{line->offset, explain_error(*line)});
    }
  }
  auto policy = reader.take_policy();
  if (!policy) {
    return failure(ParseError{body.size(), "no " + std::string(reader.missing().front())});
  }
  return *std::move(policy);
}

}  // namespace mtastsd::mtasts
