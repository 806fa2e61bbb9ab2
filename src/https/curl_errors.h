#pragma once

#include <string>

#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::https {

// How far a transfer had come when it failed.
struct Progress {
  bool connected = false;   // TCP
  bool handshaken = false;  // TLS
  bool limit_over = false;  // the time for all of it is used up
};

// Our error for a CURLcode other than CURLE_OK. `text` is what curl wrote into its error
// buffer, may be empty.
Error error_from_curl(int code, const std::string& text, const std::string& host,
                      const Progress& progress);

}  // namespace mtastsd::https
