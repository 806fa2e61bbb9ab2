#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "mtastsd/base/result.h"
#include "mtastsd/mtasts/parse_error.h"

namespace mtastsd::mtasts {

// A valid MTA-STS TXT record (RFC 8461 section 3.1). The id says only "same" or
// "different": 1 to 32 letters and digits, compared as bytes.
struct TxtRecord {
  std::string id;
};

// Why a set of TXT records at _mta-sts.<domain> gives no usable record. All have the same
// effect on mail: no discoverable policy; a cached one still counts.
enum class TxtFault {
  NoRecord,         // none of them claims to be an MTA-STS record
  MultipleRecords,  // more than one does
  InvalidRecord,    // exactly one does, and it breaks the grammar
};

struct TxtError {
  TxtFault fault = TxtFault::NoRecord;
  ParseError error;  // for InvalidRecord
};

// RFC 8461 section 3.1: whether `text` (the joined strings of one record) claims to be an
// MTA-STS record: it begins with "v=STSv1", optional white space and ";".
bool claims_mta_sts(std::string_view text);

// Parses one joined record by the grammar of section 3.1.
Result<TxtRecord, ParseError> parse_txt_record(std::string_view text);

// Picks the one record out of all TXT records of the name, each with its strings already
// joined without spaces. Records that do not claim to be MTA-STS are dropped.
Result<TxtRecord, TxtError> select_txt_record(std::span<const std::string> records);

}  // namespace mtastsd::mtasts
