#pragma once

#include <string>

#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::https {

// Our error for a CURLcode other than CURLE_OK. `text` is what curl wrote into its error
// buffer, may be empty. `handshaken`: TLS was established.
Error error_from_curl(int code, const std::string& text, const std::string& host, bool handshaken);

}  // namespace mtastsd::https
