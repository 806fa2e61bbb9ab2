#include "servers.h"

#include <algorithm>
#include <charconv>

#include "mtastsd/dns/ares_client.h"

namespace mtastsd::dns {

namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::optional<Server> make_server(std::string_view address, std::string_view port, bool v6_only) {
  const auto parsed = IpAddress::parse(address);
  if (!parsed || (v6_only && !parsed->is_v6())) return std::nullopt;
  if (port.empty()) return Server{*parsed};
  if (port.front() != ':') return std::nullopt;
  const auto number = parse_port(port.substr(1));
  if (!number) return std::nullopt;
  return Server{*parsed, *number};
}

}  // namespace

std::string Server::str() const {
  const std::string host = address.is_v6() ? "[" + address.str() + "]" : address.str();
  return host + ":" + std::to_string(port);
}

std::optional<Server> parse_server(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    return make_server(text.substr(1, close - 1), text.substr(close + 1), true);
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) {
    return make_server(text, {}, false);  // without a port; several colons are a bare IPv6 address
  }
  return make_server(text.substr(0, colon), text.substr(colon), false);
}

std::vector<Server> parse_resolv_conf(std::string_view text) {
  std::vector<Server> servers;
  while (!text.empty() && servers.size() < kMaxNameservers) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (next_word(line) != "nameserver") continue;
    const auto address = IpAddress::parse(next_word(line));
    if (!address) continue;
    const Server server{*address};
    if (std::find(servers.begin(), servers.end(), server) == servers.end()) {
      servers.push_back(server);
    }
  }
  if (servers.empty()) servers.push_back(*parse_server("127.0.0.1"));
  return servers;
}

bool valid_server(const std::string& text) {
  return parse_server(text).has_value();
}

}  // namespace mtastsd::dns
