#pragma once

#include <cstddef>
#include <string>

namespace mtastsd::mtasts {

// Why a TXT record or a policy body is not valid, and the offset of the byte where that shows.
// `detail` is for people; remote text in it is escaped and truncated.
struct ParseError {
  std::size_t offset = 0;
  std::string detail;
};

}  // namespace mtastsd::mtasts
