#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "mtastsd/base/result.h"
#include "mtastsd/mtasts/parse_error.h"

namespace mtastsd::mtasts {

// A valid MTA-STS TXT record (RFC 8461 section 3.1). The id has 1 to 32 letters and digits. Two ids
// are the same or different, compared as bytes; they have no order.
struct TxtRecord {
  std::string id;
};

// Why the TXT records at _mta-sts.<domain> contain no usable record. For mail, all of these mean
// that no policy can be discovered; a cached one still applies.
enum class TxtFault {
  NoRecord,         // none of them claims to be an MTA-STS record
  MultipleRecords,  // more than one does
  InvalidRecord,    // exactly one does, but it breaks the grammar
};

struct TxtError {
  TxtFault fault = TxtFault::NoRecord;
  ParseError error;  // for InvalidRecord
};

// True if `text`, the joined strings of one record, claims to be an MTA-STS record: it begins with
// "v=STSv1", optional white space and ";" (RFC 8461 section 3.1).
bool claims_mta_sts(std::string_view text);

// Parses one joined record by the grammar of section 3.1.
Result<TxtRecord, ParseError> parse_txt_record(std::string_view text);

// Selects the MTA-STS record among all TXT records of the name. The strings of each record are
// already joined without spaces. Records that do not claim to be MTA-STS are ignored.
Result<TxtRecord, TxtError> select_txt_record(std::span<const std::string> records);

}  // namespace mtastsd::mtasts
