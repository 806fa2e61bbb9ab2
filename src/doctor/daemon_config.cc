// The errors of config::parse() begin with "FILE:LINE: ". A line that is wrong is turned into a
// comment, until nothing is wrong any more.

#include "daemon_config.h"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace mtastsd::doctor {
namespace {

constexpr char kName[] = "x";
// Errors of syntax come one at a time.
constexpr int kMaxRounds = 16;

// The numbers of the lines that the errors are about.
std::vector<std::size_t> lines_of(const std::string& errors) {
  const std::string prefix = std::string(kName) + ":";
  std::vector<std::size_t> numbers;
  std::istringstream lines(errors);
  for (std::string line; std::getline(lines, line);) {
    std::size_t number = 0;
    if (line.starts_with(prefix)) {
      std::from_chars(line.data() + prefix.size(), line.data() + line.size(), number);
    }
    if (number != 0) {
      numbers.push_back(number);
    }
  }
  return numbers;
}

void comment_out(std::string& text, std::size_t number) {
  std::size_t at = 0;
  for (std::size_t line = 1; line < number && at != std::string::npos; ++line) {
    at = text.find('\n', at);
    at += at == std::string::npos ? 0 : 1;
  }
  if (at < text.size()) {
    text.insert(at, 1, '#');
  }
}

}  // namespace

Repaired without_wrong_lines(std::string text) {
  Repaired repaired;
  for (int round = 0; round < kMaxRounds; ++round) {
    auto parsed = config::parse(text, kName);
    if (parsed) {
      repaired.config = std::move(*parsed);
      return repaired;
    }
    bool new_line = false;
    for (const std::size_t number : lines_of(parsed.error().message)) {
      if (std::find(repaired.lines.begin(), repaired.lines.end(), number) == repaired.lines.end()) {
        comment_out(text, number);
        repaired.lines.push_back(number);
        new_line = true;
      }
    }
    if (!new_line) {
      break;
    }
  }
  return {};
}

}  // namespace mtastsd::doctor
