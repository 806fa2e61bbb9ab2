#include "servers.h"

#include <algorithm>
#include <cstdint>

#include "mtastsd/dns/ares_client.h"

namespace mtastsd::dns {

namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::string_view kBlanks = " \t\r";

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

std::optional<Server> parse_server(std::string_view text) {
  return Server::parse(text, kDnsPort);
}

std::vector<Server> parse_resolv_conf(std::string_view text) {
  std::vector<Server> servers;
  while (!text.empty() && servers.size() < kMaxNameservers) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (next_word(line) != "nameserver") {
      continue;
    }
    const auto address = IpAddress::parse(next_word(line));
    if (!address) {
      continue;
    }
    const Server server{*address, kDnsPort};
    if (std::find(servers.begin(), servers.end(), server) == servers.end()) {
      servers.push_back(server);
    }
  }
  if (servers.empty()) {
    servers.push_back(*parse_server("127.0.0.1"));
  }
  return servers;
}

bool resolv_conf_trusts_ad(std::string_view text) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (next_word(line) != "options") {
      continue;
    }
    for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
      if (word == "trust-ad") {
        return true;
      }
    }
  }
  return false;
}

bool valid_server(const std::string& text) {
  return parse_server(text).has_value();
}

}  // namespace mtastsd::dns
