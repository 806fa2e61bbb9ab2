#pragma once

#include <string>
#include <vector>

#include "mtastsd/check/report.h"

namespace mtastsd::check {

enum class Mark { None, Good, Note, Fault, Error, Unknown };

struct Line {
  std::string label;
  std::string text;  // printable
  Mark mark = Mark::None;
};

struct Section {
  std::string title;
  std::vector<Line> lines;
};

// The facts in the words of the report, for text and markdown.
std::vector<Section> sections(const Report& report);

}  // namespace mtastsd::check
