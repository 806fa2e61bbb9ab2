#pragma once

#include <string_view>

namespace mtastsd::cache {

inline constexpr char kDamagedMark = 'D';

// A mapped page of the cache's file that is gone (the file was truncated, or the disk cannot read
// it) is a SIGBUS. From now on that writes `line`, which is cut at 500 bytes, to standard error and
// kDamagedMark to the beginning of `mark_fd` (-1: nowhere), and ends the process with
// `exit_status`.
void end_on_lost_page(std::string_view line, int mark_fd, int exit_status);

}  // namespace mtastsd::cache
