#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/keyed_hash.h"

namespace mtastsd {

// A valid domain name. It consists of lower-case A-labels (letters, digits and inner hyphens; RFC
// 5321 section 4.1.2), one or more of 1 to 63 bytes each, has at most kMaxSize bytes, and has no
// final dot (RFC 8461 section 3.4). It allocates no memory, so the answer path can use it.
class DomainName {
 public:
  static constexpr std::size_t kMaxSize = 253;

  // Parses ASCII text, folds its case and removes one final dot. Returns nullopt for anything that
  // is not a domain name: empty labels, '_', '*', white space, addresses in brackets and so on. A
  // name whose last label is a number is not a domain name, because no top-level domain is a
  // number.
  static std::optional<DomainName> parse(std::string_view text);

  // The same, but UTF-8 names become A-labels (IDNA2008 with the UTS #46 mapping by libidn2; the
  // input is normalised to NFC). Returns nullopt for invalid UTF-8. Allocates memory for non-ASCII
  // text.
  static std::optional<DomainName> parse_utf8(std::string_view text);

  // Returns "<label>.<this>", or nullopt if that is longer than kMaxSize. `label` is not checked
  // and can contain '_'.
  std::optional<DomainName> under(std::string_view label) const;

  std::string_view view() const { return {bytes_.data(), size_}; }
  std::string str() const { return std::string(view()); }
  std::size_t size() const { return size_; }

  friend bool operator==(const DomainName& a, const DomainName& b) { return a.view() == b.view(); }
  friend std::strong_ordering operator<=>(const DomainName& a, const DomainName& b) {
    return a.view() <=> b.view();
  }

 private:
  DomainName() = default;

  std::uint8_t size_ = 0;
  std::array<char, kMaxSize + 1> bytes_{};  // zero-terminated
};

}  // namespace mtastsd

template <>
struct std::hash<mtastsd::DomainName> {
  std::size_t operator()(const mtastsd::DomainName& name) const noexcept {
    return mtastsd::keyed_hash(name.view());
  }
};
