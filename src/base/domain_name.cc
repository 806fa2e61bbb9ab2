#include "mtastsd/base/domain_name.h"

#include <idn2.h>

#include <algorithm>
#include <memory>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/utf8.h"

namespace mtastsd {
namespace {

constexpr std::size_t kMaxLabel = 63;

// More UTF-8 than this is no name worth converting: each of the at most 253 bytes of the
// A-label form stands for at most one character of at most four bytes. Only names padded
// with characters that the mapping drops could be longer.
constexpr std::size_t kMaxUtf8 = 4 * DomainName::kMaxSize;

// The lower-case form of what may stand in a label, 0 for any other byte.
constexpr std::array<char, 256> make_fold_table() {
  std::array<char, 256> table{};
  for (int c = 0; c < 128; ++c) {
    const char byte = static_cast<char>(c);
    if (is_alnum(byte) || byte == '-') {
      table[c] = to_lower(byte);
    }
  }
  return table;
}

constexpr std::array<char, 256> kFold = make_fold_table();

bool label_fits(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabel && label.front() != '-' && label.back() != '-';
}

struct Idn2Free {
  void operator()(std::uint8_t* p) const { idn2_free(p); }
};

}  // namespace

std::optional<DomainName> DomainName::parse(std::string_view text) {
  if (text.ends_with('.')) {
    text.remove_suffix(1);
  }
  if (text.size() > kMaxSize) {
    return std::nullopt;
  }
  DomainName name;
  std::size_t label_begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      if (!label_fits(text.substr(label_begin, i - label_begin))) {
        return std::nullopt;
      }
      label_begin = i + 1;
      name.bytes_[i] = '.';
      continue;
    }
    name.bytes_[i] = kFold[static_cast<unsigned char>(text[i])];
    if (name.bytes_[i] == 0) {
      return std::nullopt;
    }
  }
  const std::string_view last = text.substr(label_begin);
  if (!label_fits(last) || all_digits(last)) {
    return std::nullopt;
  }
  name.size_ = static_cast<std::uint8_t>(text.size());
  return name;
}

std::optional<DomainName> DomainName::parse_utf8(std::string_view text) {
  if (auto name = parse(text)) {
    return name;
  }
  if (is_ascii(text)) {
    return std::nullopt;
  }
  // libidn2 takes a C string: a name with a zero byte would be read only in part.
  if (text.size() > kMaxUtf8 || text.find('\0') != std::string_view::npos || !is_utf8(text)) {
    return std::nullopt;
  }
  const std::string input(text);
  std::uint8_t* output = nullptr;
  const int status = idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(input.c_str()), &output,
                                    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<std::uint8_t, Idn2Free> owned(output);
  if (status != IDN2_OK || output == nullptr) {
    return std::nullopt;
  }
  // The mapping can bring forth dots, digits, ':' and '/' out of look-alikes (U+FF0E,
  // U+2100), so the result goes through the same check as any ASCII name.
  return parse(reinterpret_cast<const char*>(output));
}

std::optional<DomainName> DomainName::under(std::string_view label) const {
  const std::size_t size = label.size() + 1 + size_;
  if (size > kMaxSize) {
    return std::nullopt;
  }
  DomainName name;
  auto out = std::copy(label.begin(), label.end(), name.bytes_.begin());
  *out++ = '.';
  std::copy_n(bytes_.begin(), size_, out);
  name.size_ = static_cast<std::uint8_t>(size);
  return name;
}

}  // namespace mtastsd
