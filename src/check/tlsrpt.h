#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/result.h"
#include "mtastsd/mtasts/parse_error.h"

namespace mtastsd::check {

// A valid record of RFC 8460 section 3.
struct TlsRptRecord {
  std::vector<std::string> destinations;  // the URIs of all "rua"
};

// Whether a TXT record claims to be one: it begins with "v=TLSRPTv1", white space and ";".
bool claims_tlsrpt(std::string_view text);

Result<TlsRptRecord, mtasts::ParseError> parse_tlsrpt(std::string_view text);

// Whether reports can be sent there: a mailto: address, or an https: host.
bool usable_destination(std::string_view uri);

}  // namespace mtastsd::check
