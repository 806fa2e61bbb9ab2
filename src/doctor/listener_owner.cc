// A line of /proc/net/tcp (see proc(5)), where 0A is the state of a socket that listens:
//   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  ...
//    0: 0100007F:210D 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105  ...
// The bytes of an address are those of 32-bit words in the order of the machine.

#include "listener_owner.h"

#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "mtastsd/base/fd.h"
#include "mtastsd/base/unix_socket.h"

namespace mtastsd::doctor {
namespace {

constexpr std::string_view kListens = "0A";

std::string hex(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text;
  for (std::size_t at = 0; at + 4 <= bytes.size(); at += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, &bytes[at], sizeof(word));
    for (int shift = 28; shift >= 0; shift -= 4) {
      text += kDigits[(word >> shift) & 15U];
    }
  }
  return text;
}

std::string hex(std::uint16_t port) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text;
  for (int shift = 12; shift >= 0; shift -= 4) {
    text += kDigits[(port >> shift) & 15U];
  }
  return text;
}

std::optional<uid_t> peer_of(const std::string& path) {
  const Fd fd = connect_unix(path, SOCK_STREAM | SOCK_NONBLOCK);
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (!fd || ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return std::nullopt;
  }
  return peer.uid;
}

}  // namespace

std::optional<uid_t> owner_in(std::string_view sockets, const IpAddress& address,
                              std::uint16_t port) {
  const std::string exact = hex(address.bytes()) + ":" + hex(port);
  const std::string any = std::string(2 * address.bytes().size(), '0') + ":" + hex(port);
  std::optional<uid_t> owner;
  std::istringstream lines{std::string(sockets)};
  for (std::string line; std::getline(lines, line);) {
    std::string slot, local, remote, state, queues, timer, retries;
    uid_t user = 0;
    std::istringstream fields(line);
    if (!(fields >> slot >> local >> remote >> state >> queues >> timer >> retries >> user) ||
        state != kListens) {
      continue;
    }
    if (local == exact) {
      return user;
    }
    if (local == any) {
      owner = user;  // unless another socket is bound to the address itself
    }
  }
  return owner;
}

std::optional<uid_t> listener_owner(const Socketmap& map, const std::string& path) {
  if (map.kind == Socketmap::Kind::Unix) {
    return peer_of(path);
  }
  const auto address = IpAddress::parse(map.host == "localhost" ? "127.0.0.1" : map.host);
  std::uint16_t port = 0;
  std::from_chars(map.port.data(), map.port.data() + map.port.size(), port);
  if (!address) {
    return std::nullopt;
  }
  std::ifstream file(address->is_v6() ? "/proc/net/tcp6" : "/proc/net/tcp");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return owner_in(text, *address, port);
}

}  // namespace mtastsd::doctor
