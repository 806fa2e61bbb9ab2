#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mtastsd/term/terminal.h"

// What `mtastsctl check` and `mtastsctl doctor` have in common about findings: the severities, the
// table of kinds, and how a finding is shown. Pure.
namespace mtastsd::report {

enum class Severity {
  Ok,       // checked, and right
  Info,     // good to know
  Unknown,  // could not be determined
  Low,      // works, but could be better
  Medium,   // the policy does not protect mail, or soon will not
  High,     // mail is refused or deferred
};
std::string_view to_string(Severity severity);                  // "HIGH"
std::optional<Severity> parse_severity(std::string_view text);  // in either case
term::Colour colour_of(Severity severity);

// A row of a tool's table of findings. `code` is stable: scripts rely on it.
template <typename Code>
struct Kind {
  Code id;
  std::string_view code;
  Severity severity;
  std::string_view meaning = "";  // empty: each finding has a sentence of its own
  std::string_view fix = "";      // empty: nothing to do, or each finding has lines of its own
};

// True if the table has a row for each enumerator, in their order, and no code twice. For
// static_assert.
template <typename Table>
constexpr bool is_complete(const Table& table) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (static_cast<std::size_t>(table[i].id) != i || table[i].code.empty()) {
      return false;
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (table[i].code == table[j].code) {
        return false;
      }
    }
  }
  return true;
}

// A line that fixes a problem, and the file that it belongs to ("command" means the shell).
struct FixLine {
  std::string file;
  std::string line;
  friend bool operator==(const FixLine&, const FixLine&) = default;
};

// A finding to be shown. The views point to what the caller owns.
struct Shown {
  std::string_view code;
  Severity severity = Severity::Info;
  std::string_view detail;   // what this finding is about; can be empty
  std::string_view meaning;  // whole sentences
  std::string_view fix;      // a sentence; can be empty
  std::span<const FixLine> lines;
};

// Returns "  HIGH      code: detail", and below it the meaning, "Fix: ..." and the lines, which are
// never wrapped. The text of the finding is made printable.
std::string text_of(const Shown& finding, const term::Terminal& terminal, std::size_t width);

// {"code", "severity", "detail", "meaning", "fix", "lines"}; null for what is empty.
nlohmann::ordered_json json_of(const Shown& finding);

// Returns a JSON document in ASCII, so that nothing in it can act on a terminal. Bytes that are not
// UTF-8 are replaced by U+FFFD.
std::string to_text(const nlohmann::ordered_json& document);

}  // namespace mtastsd::report
