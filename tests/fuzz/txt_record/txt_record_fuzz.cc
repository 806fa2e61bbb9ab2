// The input is a set of TXT records, one a line.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "mtastsd/base/ascii.h"
#include "mtastsd/mtasts/txt_record.h"

using namespace mtastsd;
using fuzz::require;

namespace {

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> result;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    result.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

void check_one(std::string_view text) {
  const auto record = mtasts::parse_txt_record(text);
  if (!record) {
    require(record.error().offset <= text.size(), "the offset lies in the record");
    require(fuzz::fit_to_print(record.error().detail), "the detail can be printed");
    return;
  }
  require(mtasts::claims_mta_sts(text), "a valid record is a claim");
  require(!record->id.empty() && record->id.size() <= 32, "an id has 1 to 32 characters");
  require(std::all_of(record->id.begin(), record->id.end(), is_alnum), "letters and digits");
  require(text.find("id=" + record->id) != std::string_view::npos, "the id comes from the text");
  require(text.find_first_of("\r\n") == std::string_view::npos, "no line ends in a record");
  require(mtasts::parse_txt_record("v=STSv1;id=" + record->id)->id == record->id, "round trip");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  check_one(text);
  const auto records = lines(text);
  std::size_t claims = 0;
  bool valid = false;
  for (const std::string& record : records) {
    if (mtasts::claims_mta_sts(record)) {
      ++claims;
      valid = mtasts::parse_txt_record(record).has_value();
    }
  }
  const auto selected = mtasts::select_txt_record(records);
  require(selected.has_value() == (claims == 1 && valid), "exactly one claim, and a valid one");
  if (!selected) {
    const auto expected = claims == 0   ? mtasts::TxtFault::NoRecord
                          : claims == 1 ? mtasts::TxtFault::InvalidRecord
                                        : mtasts::TxtFault::MultipleRecords;
    require(selected.error().fault == expected, "the fault tells which it was");
  }
  return 0;
}
