#include "mtastsd/term/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "mtastsd/term/wrapping.h"

namespace mtastsd::term {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastOpenWidth = 16;
constexpr std::size_t kPipeOpenWidth = 40;
constexpr std::size_t kFieldWidth = 18;

}  // namespace

Table::Table(const Terminal& terminal, std::vector<Column> columns)
    : terminal_(terminal), columns_(std::move(columns)) {
  std::size_t taken = kGap * (columns_.size() - 1);
  for (const Column& column : columns_) {
    taken += column.width;
  }
  for (Column& column : columns_) {
    if (column.width == 0) {
      const std::size_t left = terminal_.width > taken ? terminal_.width - taken : 0;
      column.width = terminal_.is_terminal ? std::max(left, kLeastOpenWidth) : kPipeOpenWidth;
    }
  }
}

std::string Table::head() const {
  std::vector<std::pair<std::string, Colour>> cells;
  for (const Column& column : columns_) {
    cells.emplace_back(column.title, Colour::Bold);
  }
  return row(cells);
}

std::string Table::row(const std::vector<std::pair<std::string, Colour>>& cells) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size() && i < columns_.size(); ++i) {
    const bool last = i + 1 == columns_.size();
    const auto& [text, colour] = cells[i];
    const std::string shown = terminal_.is_terminal ? cut(text, columns_[i].width) : text;
    line += paint(terminal_, colour, last ? shown : padded(shown, columns_[i].width));
    if (!last) {
      line.append(kGap, ' ');
    }
  }
  return line;
}

std::string field(const Terminal& terminal, std::string_view name, std::string_view value,
                  Colour colour) {
  std::string label = padded(std::string(name) + (name.empty() ? "" : ":"), kFieldWidth);
  const bool wraps = terminal.is_terminal && terminal.width > kFieldWidth + kLeastOpenWidth;
  std::string lines;
  for (const std::string& line :
       wraps ? wrap(value, terminal.width - kFieldWidth) : std::vector{std::string(value)}) {
    lines += paint(terminal, Colour::Bold, label) + paint(terminal, colour, line) + "\n";
    label.assign(kFieldWidth, ' ');
  }
  return lines;
}

std::string size_text(std::size_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    return std::to_string(bytes) + " B";
  }
  double value = static_cast<double>(bytes) / 1024;
  const char* const* unit = kUnits.begin();
  for (; value >= 1024 && unit + 1 != kUnits.end(); ++unit) {
    value /= 1024;
  }
  return fmt::format("{:.1f} {}", value, *unit);
}

std::string usage_text(std::size_t used, std::size_t most) {
  return fmt::format(
      "{} of {} ({:.1f}%)", size_text(used), size_text(most),
      100.0 * static_cast<double>(used) / static_cast<double>(std::max<std::size_t>(most, 1)));
}

std::string count_text(std::size_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

}  // namespace mtastsd::term
