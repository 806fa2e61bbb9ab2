#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mtastsd/term/terminal.h"

namespace mtastsd::term {

// A table whose columns have fixed widths, so that rows can be printed one by one. On a terminal, a
// cell that is too wide is truncated. Elsewhere it is printed in full and moves the cells after it.
class Table {
 public:
  struct Column {
    std::string_view title;
    std::size_t width;  // 0: the rest of the line; only one column can have this
  };

  Table(const Terminal& terminal, std::vector<Column> columns);

  std::string head() const;
  std::string row(const std::vector<std::pair<std::string, Colour>>& cells) const;

 private:
  const Terminal terminal_;
  std::vector<Column> columns_;
};

// Returns a line "name:     value" of a report, with continued lines below the value.
std::string field(const Terminal& terminal, std::string_view name, std::string_view value,
                  Colour colour = Colour::None);

// "1.5 MiB", "512 B".
std::string size_text(std::size_t bytes);
// "1.5 MiB of 1.0 GiB (0.1%)".
std::string usage_text(std::size_t used, std::size_t most);
// "1,234,567".
std::string count_text(std::size_t count);

}  // namespace mtastsd::term
