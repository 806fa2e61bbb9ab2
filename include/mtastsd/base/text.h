#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// Text for people: what comes from outside is made safe to show here, and nowhere else. Pure.
namespace mtastsd {

// One character of a text, or one byte that belongs to none.
struct Character {
  std::string_view bytes;
  bool printable = false;  // it may be shown as it is
};

// Takes the first character off a text that is not empty. A character is not printable if a
// terminal or a log viewer could act on it, or if it hides or reorders what stands around it: C0
// and C1 controls, DEL, line and paragraph separators, and the invisible and bidirectional format
// characters of Unicode. A byte that is not UTF-8 is not printable either.
Character take_character(std::string_view& text);

// The text with each byte of what is not printable as \xNN. The result is UTF-8, and a text that
// has nothing to escape comes back unchanged. If more than `limit` bytes would result, the text is
// cut between two characters and ends in "...".
std::string printable(std::string_view text, std::size_t limit = std::string_view::npos);

// The same in double quotes, with \" and \\ for those two.
inline constexpr std::size_t kMaxInQuotes = 60;
std::string in_quotes(std::string_view text, std::size_t limit = kMaxInQuotes);

// The longest beginning of at most `limit` bytes that splits no character.
std::string_view cut_bytes(std::string_view text, std::size_t limit);

// Two lower-case digits for each byte.
std::string hex(std::string_view bytes);
void append_hex(std::string& out, char byte);

// "3 addresses", "1 address".
std::string counted(std::size_t number, std::string_view singular, std::string_view plural);

// The number of insertions, deletions, replacements and swaps of neighbours that make `a` into `b`
// (optimal string alignment). Work and memory grow with the product of the sizes.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate that a mistyped word was probably meant for, or nullopt if none is near enough.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

// The items of a list with a separator between them; `to_text` gives the text of one.
template <typename List, typename ToText>
std::string joined(const List& list, std::string_view separator, ToText to_text) {
  std::string text;
  for (const auto& item : list) {
    if (!text.empty()) {
      text += separator;
    }
    text += to_text(item);
  }
  return text;
}
template <typename List>
std::string joined(const List& list, std::string_view separator = ", ") {
  return joined(list, separator, [](const auto& item) -> std::string_view { return item; });
}

}  // namespace mtastsd
