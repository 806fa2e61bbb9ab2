// The head of a request for the pages, from anybody who can connect.

#include <cstdint>

#include "fuzz/require.h"
#include "mtastsd/web/request.h"

using namespace mtastsd;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  const auto request = web::parse_request(text);
  if (request) {
    require(request->path.starts_with('/'), "a path begins with a slash");
    require(request->query.size() <= web::kMaxParameters, "parameters are bounded");
    require(request->prefix.empty() || request->prefix == web::check_prefix(request->prefix),
            "a prefix is a plain path");
    require(request->prefix.find("//") == std::string::npos, "and never another host");
  } else {
    require(request.error() >= 400 && request.error() < 600, "a refusal has a status");
  }
  // What is encoded can stand in a target, and comes back.
  const auto again = web::parse_request("GET /?q=" + web::percent_encoded(text) + " HTTP/1.1\r\n");
  require(again && again->parameter("q") == text, "what is encoded comes back");
  return 0;
}
