#include "mtastsd/base/keyed_hash.h"

#include <sys/random.h>
#include <xxhash.h>

#include <array>
#include <cstdlib>

namespace mtastsd {
namespace {

constexpr std::size_t kKeyBytes = 192;  // as many as XXH3's own secret has
static_assert(kKeyBytes >= XXH3_SECRET_SIZE_MIN);

struct Key {
  // So few bytes come in one piece, and without a key nothing is safe.
  Key() {
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      std::abort();
    }
  }
  std::array<char, kKeyBytes> bytes;
};

}  // namespace

std::uint64_t keyed_hash(std::string_view bytes) noexcept {
  static const Key kKey;
  return XXH3_64bits_withSecret(bytes.data(), bytes.size(), kKey.bytes.data(), kKeyBytes);
}

}  // namespace mtastsd
