#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/check/report.h"

// What `mtastsctl check --watch` remembers from one run to the next. Pure.
namespace mtastsd::check {

// The part of a report whose change is worth a line.
struct Remembered {
  std::string verdict;
  int score = 0;
  std::vector<std::string> findings;  // "HIGH mta_sts_mx_mismatch: mx.example.com"

  friend bool operator==(const Remembered&, const Remembered&) = default;
};
using Memory = std::map<std::string, Remembered>;  // by domain

Remembered remember(const Report& report);

// What has changed, in whole lines; empty if nothing has.
std::string changes(const std::string& domain, const Remembered& before, const Remembered& now);

std::string to_text(const Memory& memory);
// nullopt: this is not what to_text() writes.
std::optional<Memory> parse_memory(std::string_view text);

}  // namespace mtastsd::check
