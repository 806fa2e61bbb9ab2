#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace mtastsd {

// A checked domain name: lower-case A-labels (letters, digits, inner hyphens; RFC 5321
// section 4.1.2), one or more labels of 1 to 63 bytes, at most kMaxSize bytes, no final
// dot (RFC 8461 section 3.4; rule D4). Held in place: making, copying and comparing one
// allocates nothing, so that the answer path can use it.
class DomainName {
 public:
  static constexpr std::size_t kMaxSize = 253;

  // ASCII only. Folds case and takes one final dot away; anything else that is not a
  // domain name is nullopt (empty labels, '_', '*', white space, addresses in brackets...).
  // A name whose last label is all digits is nullopt: it is an address or a mistake, as no
  // top-level domain is a number.
  static std::optional<DomainName> parse(std::string_view text);

  // As parse(), and UTF-8 names become A-labels (IDNA2008 with the UTS #46 mapping by
  // libidn2, input normalised to NFC). Invalid UTF-8 is nullopt. Allocates for non-ASCII.
  static std::optional<DomainName> parse_utf8(std::string_view text);

  // "<label>.<this>", or nullopt when that would be longer than kMaxSize. `label` may hold
  // '_' and is taken as it is ("mta-sts").
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
    return std::hash<std::string_view>{}(name.view());
  }
};
