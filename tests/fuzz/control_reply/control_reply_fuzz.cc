// What whoever listens at the control socket can send to mtastsctl: one reply.

#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "mtastsd/control/protocol.h"

using namespace mtastsd;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto reply = control::decode_reply(fuzz::as_text(data, size));
  if (!reply) {
    const std::string& message = reply.error().message;
    require(printable(message) == message, "what is wrong can be printed");
  }
  if (!reply && reply.error().problem == control::Error::Problem::Broken) {
    require(!reply.error().message.empty(), "and says something");
    return 0;
  }
  const std::string written = control::encode(reply);
  require(written.find('\n') == std::string::npos, "a reply is one line");
  const auto again = control::decode_reply(written);
  require(again.has_value() == reply.has_value() && control::encode(again) == written,
          "what was read is written and read the same");
  return 0;
}
