// A stream of netstrings, read whole and by every beginning of it.

#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "mtastsd/socketmap/netstring.h"

using namespace mtastsd;
using fuzz::require;
using socketmap::NetstringStatus;

namespace {

constexpr std::size_t kMaxPayload = 300;
constexpr std::size_t kMaxPrefix = 400;  // a whole frame of the largest payload fits

void check_prefixes(std::string_view input, const socketmap::Netstring& whole) {
  NetstringStatus before = NetstringStatus::Incomplete;
  for (std::size_t size = 0; size <= std::min(input.size(), kMaxPrefix); ++size) {
    const auto read = socketmap::read_netstring(input.substr(0, size), kMaxPayload);
    require(before == NetstringStatus::Incomplete || read.status == before,
            "more bytes do not change a verdict");
    if (read.status == NetstringStatus::Incomplete && read.total != 0) {
      require(read.total > size, "a known total lies ahead");
      require(whole.status != NetstringStatus::Complete || whole.consumed == read.total,
              "the total was announced right");
    }
    before = read.status;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::as_text(data, size);
  for (;;) {
    const auto read = socketmap::read_netstring(rest, kMaxPayload);
    check_prefixes(rest, read);
    if (read.status != NetstringStatus::Complete) {
      require(read.consumed == 0 && read.payload.empty(), "nothing is taken before the end");
      return 0;
    }
    require(read.payload.size() <= kMaxPayload, "the limit holds");
    require(read.consumed > read.payload.size() && read.consumed <= rest.size(),
            "a frame is more than its payload, and no more than the input");
    std::string again;
    socketmap::append_netstring(again, read.payload);
    require(again == rest.substr(0, read.consumed), "there is one way to write a netstring");
    rest.remove_prefix(read.consumed);
  }
}
