#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/web/census.h"

namespace mtastsd::web {

// The type of a response with metrics, in the text format that all versions of Prometheus read.
inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// What the kernel says of this process; 0 for what it does not.
struct Process {
  double cpu_seconds = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
};
Process this_process();

// All metrics. Of names that a stranger could choose, none is a label. `census` is null while the
// first one runs. Pure.
std::string metrics_text(const control::Status& status, const Process& process,
                         const Census::Totals* census);

}  // namespace mtastsd::web
