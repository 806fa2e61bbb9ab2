#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mtastsd::term {

// The number of columns of a text: one for each UTF-8 character.
std::size_t columns_of(std::string_view text);

// The text, followed by blanks up to a width of `width` columns.
std::string padded(std::string_view text, std::size_t width);

// The words of a text in lines of at most `width` columns. A longer word is split. There is at
// least one line, which is empty if there are no words.
std::vector<std::string> wrap(std::string_view text, std::size_t width);

// The same as one text. Each line begins with `indent` blanks and ends with a line end. The first
// line begins with `first` instead, which counts as at most `indent` columns.
std::string wrapped(std::string_view first, std::size_t indent, std::string_view text,
                    std::size_t width);

}  // namespace mtastsd::term
