// The TXT record of RFC 8461 section 3.1: how it is selected among all records of the name, and its
// grammar. There is no DNS here. The strings of a record are already joined.
//
// Choices where the RFC is silent or contradicts itself:
// - Section 3.1 discards records that do not begin with "v=STSv1;", but its grammar allows white
//   space before the ";" (erratum 6285). Such a record counts as a claim. So it is used if it is
//   the only one, and is not silently ignored beside another one.
// - Two records that claim are too many, even if only one of them is valid. The RFC counts the
//   records before it considers their syntax.
// - White space is SP and TAB (RFC 5234's WSP). After the last field, it needs a ";" in front.
// - A later field "v" is an ordinary unknown field. This follows from section 3.2, where the first
//   of several fields counts, and it is what a record becomes that was pasted twice.
// - A later "id" must be a well-formed field, but not a well-formed id, because it is ignored.

#include "mtastsd/mtasts/txt_record.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"

namespace mtastsd::mtasts {
namespace {

constexpr std::string_view kVersion = "v=STSv1";
constexpr std::size_t kMaxId = 32;
constexpr std::size_t kMaxNameTail = 31;

bool is_name_char(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

// RFC 8461 section 3.1: %x21-3A / %x3C / %x3E-7E.
bool is_value_char(char c) {
  return c > ' ' && c < 0x7f && c != ';' && c != '=';
}

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxId && std::all_of(text.begin(), text.end(), is_alnum);
}

struct Field {
  std::string_view name;
  std::string_view value;
  std::size_t value_at = 0;
};

// Reads a record once, from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  std::size_t offset() const { return at_; }

  bool skip_version() {
    if (!text_.starts_with(kVersion)) {
      return false;
    }
    at_ = kVersion.size();
    return true;
  }

  // RFC 8461 section 3.1: sts-field-delim = *WSP ";" *WSP.
  bool skip_delimiter() {
    take_while(is_wsp);
    if (at_end() || text_[at_] != ';') {
      return false;
    }
    ++at_;
    take_while(is_wsp);
    return true;
  }

  // RFC 8461 section 3.1: sts-ext-name "=" sts-ext-value, which includes "id".
  std::optional<Field> take_field() {
    Field field;
    field.name = take_while(is_name_char);
    if (field.name.empty() || !is_alnum(field.name.front()) ||
        field.name.size() > 1 + kMaxNameTail || at_end() || text_[at_] != '=') {
      return std::nullopt;
    }
    ++at_;
    field.value_at = at_;
    field.value = take_while(is_value_char);
    if (field.value.empty()) {
      return std::nullopt;
    }
    return field;
  }

 private:
  template <typename Predicate>
  std::string_view take_while(Predicate wanted) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && wanted(text_[at_])) {
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

auto error_at(std::size_t offset, std::string detail) {
  return failure(ParseError{offset, std::move(detail)});
}

}  // namespace

bool claims_mta_sts(std::string_view text) {
  Reader reader(text);
  return reader.skip_version() && reader.skip_delimiter();
}

Result<TxtRecord, ParseError> parse_txt_record(std::string_view text) {
  Reader reader(text);
  if (!reader.skip_version()) {
    return error_at(0, "does not begin with v=STSv1");
  }
  std::optional<TxtRecord> record;
  while (!reader.at_end()) {
    const std::size_t before = reader.offset();
    if (!reader.skip_delimiter()) {
      return error_at(before, "expected \";\" before " + in_quotes(text.substr(before)));
    }
    // RFC 8461 section 3.1: one delimiter may end the record.
    if (reader.at_end()) {
      break;
    }
    const std::size_t field_at = reader.offset();
    const auto field = reader.take_field();
    if (!field) {
      return error_at(field_at, "not a field: " + in_quotes(text.substr(field_at)));
    }
    // RFC 8461 section 3.2: if a field comes twice, the first one counts. Names are
    // case-sensitive.
    if (field->name == "id" && !record) {
      if (!is_id(field->value)) {
        return error_at(field->value_at, "not an id: " + in_quotes(field->value));
      }
      record = TxtRecord{std::string(field->value)};
    }
  }
  if (!record) {
    return error_at(text.size(), "no id");
  }
  return *std::move(record);
}

Result<TxtRecord, TxtError> select_txt_record(std::span<const std::string> records) {
  const std::string* claim = nullptr;
  for (const std::string& record : records) {
    // RFC 8461 section 3.1: records that do not begin with the version are dropped.
    if (!claims_mta_sts(record)) {
      continue;
    }
    // RFC 8461 section 3.1: unless exactly one remains, there is no policy to discover.
    if (claim != nullptr) {
      return failure(TxtError{TxtFault::MultipleRecords, {}});
    }
    claim = &record;
  }
  if (claim == nullptr) {
    return failure(TxtError{TxtFault::NoRecord, {}});
  }
  auto parsed = parse_txt_record(*claim);
  if (!parsed) {
    return failure(TxtError{TxtFault::InvalidRecord, std::move(parsed.error())});
  }
  return *std::move(parsed);
}

}  // namespace mtastsd::mtasts
