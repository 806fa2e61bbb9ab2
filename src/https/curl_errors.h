#pragma once

#include <optional>
#include <string>

#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::https {

// Our error for a CURLcode other than CURLE_OK. `text` is what curl wrote into its error
// buffer, may be empty. `handshaken`: TLS was established.
Error error_from_curl(int code, const std::string& text, const std::string& host, bool handshaken);

// The same for a fetch through a proxy: what the proxy is to blame for, or has said. nullopt: it
// was not the proxy. `status` is that of its answer to CONNECT; 0: there was none.
std::optional<Error> error_of_proxy(int code, const std::string& text, const std::string& host,
                                    int status);

}  // namespace mtastsd::https
