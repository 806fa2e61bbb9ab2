#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/mtasts/annotate.h"
#include "mtastsd/mtasts/policy.h"

namespace mtastsd::mtasts {

// One line of a policy body, and what it means after the lines before it.
struct ReadLine {
  std::size_t offset = 0;  // of its first byte in the body
  std::string_view text;   // without its end
  LineIssue issue = LineIssue::None;
  std::string_view name;         // of the field, if the line is one
  std::string_view value;        // without the white space around it
  std::string_view first_value;  // for Duplicate: the value that counts
};

// Reads a policy body once, line by line, and judges each line by RFC 8461 section 3.2. This is the
// only implementation of that grammar: parse_policy() stops at the first error, and
// annotate_policy() shows every line. Both refuse bodies of more than kMaxPolicyBytes before they
// start.
class PolicyReader {
 public:
  explicit PolicyReader(std::string_view body);

  // Returns the next line, or nullopt at the end. Never gives MisspeltField or RepeatedMx.
  std::optional<ReadLine> next();

  // The patterns of the lines so far, repeats included.
  const std::vector<MxPattern>& patterns() const { return mx_; }

  // To be called after the last line:
  bool byte_order_mark() const { return byte_order_mark_; }
  std::vector<std::string_view> missing() const;  // the required fields that the body lacks
  std::optional<Seconds> max_age() const { return max_age_; }  // as written
  // Returns the policy if no line had an error and no field is missing. To be called once.
  std::optional<Policy> take_policy();

 private:
  LineIssue judge(ReadLine& line);
  LineIssue judge_mx(const ReadLine& line);

  std::string_view body_;
  std::string_view rest_;
  bool byte_order_mark_ = false;
  bool failed_ = false;
  std::optional<std::string_view> first_version_;
  std::optional<std::string_view> first_mode_;
  std::optional<std::string_view> first_max_age_;
  std::optional<Mode> mode_;
  std::optional<Seconds> max_age_;
  std::vector<MxPattern> mx_;
};

// Tells whether the issue makes the whole policy invalid, and how bad it is otherwise.
LineVerdict verdict_of(LineIssue issue);

// Returns a sentence for people about a line with the verdict Error. Text of the line is escaped
// and truncated in it.
std::string explain_error(const ReadLine& line);

}  // namespace mtastsd::mtasts
