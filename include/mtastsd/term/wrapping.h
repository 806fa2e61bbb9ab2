#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mtastsd::term {

// The columns that a text takes: one for each character of UTF-8.
std::size_t columns_of(std::string_view text);

// Followed by as many blanks as make it `width` columns wide.
std::string padded(std::string_view text, std::size_t width);

// The words of a text in lines of at most `width` columns; a longer word is cut. There is always
// one line, which is empty if there are no words.
std::vector<std::string> wrap(std::string_view text, std::size_t width);

// The same, each line after `indent` blanks and with a line end behind it. The first line comes
// after `first` instead, which counts as at most `indent` columns wide.
std::string wrapped(std::string_view first, std::size_t indent, std::string_view text,
                    std::size_t width);

}  // namespace mtastsd::term
