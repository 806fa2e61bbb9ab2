#include "mtastsd/term/wrapping.h"

#include <algorithm>

#include "mtastsd/base/utf8.h"

namespace mtastsd::term {
namespace {

constexpr std::size_t kLeastWidth = 10;

bool begins_character(char c) {
  return !is_continuation(c);
}

// The first `columns` characters.
std::string_view beginning(std::string_view text, std::size_t columns) {
  const auto* end = text.begin();
  for (; end != text.end() && columns > 0; --columns) {
    end = std::find_if(end + 1, text.end(), begins_character);
  }
  return {text.begin(), static_cast<std::size_t>(end - text.begin())};
}

std::string_view take_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

}  // namespace

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string padded(std::string_view text, std::size_t width) {
  const std::size_t columns = columns_of(text);
  return std::string(text) + std::string(width > columns ? width - columns : 0, ' ');
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  width = std::max(width, kLeastWidth);
  std::vector<std::string> lines(1);
  std::size_t column = 0;
  for (std::string_view word = take_word(text); !word.empty(); word = take_word(text)) {
    if (column > 0 && column + 1 + columns_of(word) <= width) {
      lines.back() += ' ';
      ++column;
    } else if (column > 0) {
      lines.emplace_back();
      column = 0;
    }
    for (std::size_t left = columns_of(word); left > width; left -= width) {
      const std::string_view part = beginning(word, width);
      lines.back() += part;
      lines.emplace_back();
      word.remove_prefix(part.size());
    }
    lines.back() += word;
    column += columns_of(word);
  }
  return lines;
}

std::string wrapped(std::string_view first, std::size_t indent, std::string_view text,
                    std::size_t width) {
  std::string result;
  std::string margin = padded(first, indent);
  for (const std::string& line : wrap(text, width - std::min(width, indent))) {
    result += margin + line;
    result.erase(result.find_last_not_of(' ') + 1);
    result += '\n';
    margin.assign(indent, ' ');
  }
  return result;
}

}  // namespace mtastsd::term
