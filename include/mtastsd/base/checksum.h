#pragma once

#include <cstdint>
#include <string_view>

namespace mtastsd {

// CRC-32C (Castagnoli) of the bytes: finds damage in what was stored, no protection against
// somebody who means it.
std::uint32_t crc32c(std::string_view bytes);

// The same without the processor's help: for processors that have none.
std::uint32_t crc32c_by_table(std::string_view bytes);

}  // namespace mtastsd
