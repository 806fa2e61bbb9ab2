// The policy body of RFC 8461 section 3.2. No HTTP here: status, media type and transfer are
// judged before the body comes to this parser.
//
// Where the RFC is silent, or we differ from its grammar:
// - One UTF-8 byte order mark at the very beginning is skipped: some editors write it, and it
//   cannot change the meaning of what follows.
// - Blank lines are skipped wherever they stand: many published files end in one, and an
//   empty line can be nothing else. A line of white space only is not blank.
// - A line ends at LF, with one CR before that LF belonging to the end. No other character
//   ends a line: a CR elsewhere, FF or U+0085 is part of a value, where controls are errors.
// - White space is SP and TAB. It may stand after ":" and at the end of a line, nowhere else.
// - Every line must be a well-formed field, known or not: what is no field is no policy, and
//   a web page or a half-filled template must not be mined for lines that look right.
// - Extension values are UTF-8 (RFC 3629) without controls below U+0020 and without DEL; the
//   C1 controls (U+0080 to U+009F) are UTF8-2 by the grammar and allowed.
// - Of a known field other than "mx" the first counts, even if it is wrong and a later one
//   right; later ones only have to be well-formed fields.
// - "max_age" may have ten digits (erratum 7282) and is capped at the maximum of the prose:
//   a policy that means "long" is of more use than none.
// - An "mx" with one final dot is taken without it: it can only mean that name.
// - An "mx" that ends in a number ("192.0.2.1") fits the grammar, which has no rule about the
//   last label, but no MX host can have that name. It is left out; if nothing else is
//   listed, the policy has no mx. So are "hostname", "nexthop" and "dot-nexthop", which mean
//   something else to Postfix. Any other wrong "mx" makes the policy invalid, in mode none
//   too.
// - More than kMaxPolicyBytes is an error: half a policy is another policy.

#include "mtastsd/mtasts/policy.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "mtastsd/base/text.h"
#include "policy_grammar.h"

namespace mtastsd::mtasts {
namespace {

// Takes repeats out and keeps the order of the first ones. Sorting bounds the work whatever
// names the domain chose, which hashing would not.
void drop_repeats(std::vector<MxPattern>& patterns) {
  std::vector<std::uint32_t> order(patterns.size());
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](std::uint32_t i) {
    return std::pair(patterns[i].domain.view(), patterns[i].wildcard);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return key(a) < key(b); });
  std::vector<bool> repeated(patterns.size());
  for (std::size_t i = 1; i < order.size(); ++i) {
    repeated[order[i]] = patterns[order[i]] == patterns[order[i - 1]];
  }
  std::size_t at = 0;
  std::erase_if(patterns, [&](const MxPattern&) { return repeated[at++]; });
}

// The policy as far as its lines have been read. The functions return what is wrong, or
// nothing.
class Builder {
 public:
  std::optional<std::string> add(const Field& field) {
    if (field.name == "mx") {
      return add_mx(field.value);
    }
    if (!is_extension_value(field.value)) {
      return "not a value: " + in_quotes(field.value);
    }
    // RFC 8461 section 3.2: of fields that come twice the first counts, except "mx". Fields
    // with other names are ignored; names are case-sensitive.
    if (field.name == "version" && !std::exchange(version_seen_, true)) {
      return field.value == "STSv1" ? std::nullopt : wrong(field);
    }
    if (field.name == "mode" && !mode_) {
      mode_ = parse_mode(field.value);
      return mode_ ? std::nullopt : wrong(field);
    }
    if (field.name == "max_age" && !max_age_) {
      const auto value = parse_max_age(field.value);
      if (!value) {
        return wrong(field);
      }
      max_age_ = std::min(*value, kMaxMaxAge);
      return std::nullopt;
    }
    return std::nullopt;
  }

  // RFC 8461 section 3.2: version, mode and max_age are required, and mx but for mode none.
  std::optional<std::string> missing() const {
    if (!version_seen_) return "no version";
    if (!mode_) return "no mode";
    if (!max_age_) return "no max_age";
    if (mx_.empty() && *mode_ != Mode::None) return "no mx that a host name could match";
    return std::nullopt;
  }

  Policy finish() && {
    drop_repeats(mx_);
    return {*mode_, *max_age_, std::move(mx_)};
  }

 private:
  static std::optional<std::string> wrong(const Field& field) {
    return "not a " + std::string(field.name) + ": " + in_quotes(field.value);
  }

  std::optional<std::string> add_mx(std::string_view value) {
    if (const auto pattern = MxPattern::parse(value)) {
      if (!is_keyword_of_postfix(*pattern)) {
        mx_.push_back(*pattern);
      }
      return std::nullopt;
    }
    if (ends_in_number(value)) {
      return std::nullopt;
    }
    return "not an mx pattern: " + in_quotes(value);
  }

  bool version_seen_ = false;
  std::optional<Mode> mode_;
  std::optional<Seconds> max_age_;
  std::vector<MxPattern> mx_;
};

}  // namespace

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

std::optional<MxPattern> MxPattern::parse(std::string_view text) {
  const auto [wildcard, rest] = split_wildcard(text);
  const auto domain = DomainName::parse(rest);
  if (!domain) {
    return std::nullopt;
  }
  return MxPattern{wildcard, *domain};
}

std::string MxPattern::str() const {
  std::string text(wildcard ? kWildcard : "");
  text += domain.view();
  return text;
}

Result<Policy, ParseError> parse_policy(std::string_view body) {
  if (body.size() > kMaxPolicyBytes) {
    return failure(ParseError{kMaxPolicyBytes, "longer than 65536 bytes"});
  }
  std::string_view rest = body;
  if (rest.starts_with(kByteOrderMark)) {
    rest.remove_prefix(kByteOrderMark.size());
  }
  Builder builder;
  while (!rest.empty()) {
    const std::size_t offset = body.size() - rest.size();
    const std::string_view line = next_line(rest);
    if (line.empty()) {
      continue;
    }
    const auto field = split_field(line);
    if (!field) {
      return failure(ParseError{offset, "not a field: " + in_quotes(line)});
    }
    if (auto fault = builder.add(*field)) {
      return failure(ParseError{offset, *std::move(fault)});
    }
  }
  if (auto fault = builder.missing()) {
    return failure(ParseError{body.size(), *std::move(fault)});
  }
  return std::move(builder).finish();
}

}  // namespace mtastsd::mtasts
