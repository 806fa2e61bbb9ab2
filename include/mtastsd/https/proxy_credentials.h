#pragma once

#include <string>

#include "mtastsd/base/result.h"

namespace mtastsd::https {

// Reads "user:password" from the first line of a file, which others than its owner and group must
// not be able to read. An empty path gives an empty text. The error is a sentence with the path.
Result<std::string, std::string> read_proxy_credentials(const std::string& path);

}  // namespace mtastsd::https
