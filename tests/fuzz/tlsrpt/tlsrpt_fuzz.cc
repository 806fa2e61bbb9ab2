// The input is a TXT record at _smtp._tls.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "mtastsd/base/ascii.h"
#include "tlsrpt.h"

using namespace mtastsd;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  check::usable_destination(text);
  const auto record = check::parse_tlsrpt(text);
  if (!record) {
    require(record.error().offset <= text.size(), "the offset lies in the record");
    require(fuzz::fit_to_print(record.error().detail), "the detail can be printed");
    return 0;
  }
  require(check::claims_tlsrpt(text), "a valid record is a claim");
  require(std::all_of(text.begin(), text.end(),
                      [](char c) { return is_wsp(c) || (c > ' ' && c < 0x7f); }),
          "a valid record has no other characters");
  require(!record->destinations.empty(), "a valid record has a destination");
  std::string again = "v=TLSRPTv1;rua=";
  std::size_t at = text.find("rua=");
  for (const std::string& uri : record->destinations) {
    require(uri.find(':') != 0 && uri.find(':') < uri.size() - 1, "a URI has a scheme, and more");
    require(fuzz::fit_to_print(uri) || uri.size() >= 400, "printable");
    require(uri.find_first_of(" ,!;") == std::string::npos, "what ends a URI is no part of it");
    at = text.find(uri, at);
    require(at != std::string_view::npos, "the URIs come from the text, in order");
    again += uri + ',';
    at += uri.size();
  }
  again.pop_back();
  const auto back = check::parse_tlsrpt(again);
  require(back && back->destinations == record->destinations, "round trip");
  require(check::parse_tlsrpt(std::string(text) + " ").has_value(), "blanks at the end do no harm");
  return 0;
}
