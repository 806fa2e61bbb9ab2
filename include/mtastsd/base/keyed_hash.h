#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace mtastsd {

// A hash of names that strangers choose, for tables in memory. Its key is random and of this
// process alone: whoever does not know it cannot look for names that fall into one place. It is
// XXH3 with a secret of 192 random bytes. That is no cryptographic function: somebody who saw
// hashes could find the key out, so they are never shown, stored or compared between processes.
std::uint64_t keyed_hash(std::string_view bytes) noexcept;

// For the standard library's tables, whose own hash of a string has no key.
struct KeyedHash {
  std::size_t operator()(std::string_view bytes) const noexcept { return keyed_hash(bytes); }
};
template <typename Value>
using MapByName = std::unordered_map<std::string, Value, KeyedHash, std::equal_to<>>;

}  // namespace mtastsd
