#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analysis.h"
#include "mtastsd/check/report.h"
#include "mtastsd/term/terminal.h"

namespace mtastsd::check {

// The first four are those of mtasts::LineVerdict, in its order.
enum class Mark { Good, Note, Fault, Error, Unknown, None };

struct Line {
  std::string label;
  std::string text;  // printable
  std::string mark;  // a word between label and text
  term::Colour colour = term::Colour::None;
};

struct Section {
  std::string title;
  std::vector<Line> lines{};
  std::size_t label_width = 14;

  void add(std::string label, std::string text, Mark mark = Mark::None);
};

// The facts in the words of the report, and then the score, for text and markdown.
std::vector<Section> sections(const Report& report);

// "at least 70 of 100".
std::string score_text(const Score& score);

// The words of an enumeration, in the order of its enumerators.
template <typename Enum, std::size_t kSize>
constexpr std::string_view word_of(const std::array<std::string_view, kSize>& words, Enum value) {
  return words.at(static_cast<std::size_t>(value));
}

// True if the policy was compared with the MX hosts and has no pattern for this one.
bool is_uncovered(const Analysis& analysis, const MxHost& host);

}  // namespace mtastsd::check
