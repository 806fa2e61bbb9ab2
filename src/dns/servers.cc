#include "servers.h"

#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <system_error>

#include "mtastsd/base/ascii.h"
#include "mtastsd/dns/ares_client.h"

namespace mtastsd::dns {

namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::string_view kBlanks = " \t\r";

// As in the C library.
constexpr int kMostSeconds = 30;
constexpr int kMostAttempts = 5;

bool is_part_of_a_zone(char c) {
  return is_alpha(c) || is_digit(c) || std::string_view("-_.:@").find(c) != std::string_view::npos;
}

// "timeout:3" -> 3, at least 1 and at most `most`.
std::optional<int> number_behind(std::string_view name, std::string_view word, int most) {
  if (!word.starts_with(name)) {
    return std::nullopt;
  }
  word.remove_prefix(name.size());
  int number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (word.empty() || end != word.data() + word.size()) {
    return std::nullopt;
  }
  return error == std::errc::result_out_of_range ? most : std::clamp(number, 1, most);
}

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

std::string Server::str() const {
  return zone.empty() ? IpEndpoint::str()
                      : "[" + address.str() + "%" + zone + "]:" + std::to_string(port);
}

std::optional<Server> parse_server(std::string_view text) {
  const std::size_t percent = text.find('%');
  if (percent == std::string_view::npos) {
    const auto endpoint = IpEndpoint::parse(text, kDnsPort);
    return endpoint ? std::optional(Server{*endpoint, {}}) : std::nullopt;
  }
  const std::size_t end = std::min(text.find(']', percent), text.size());
  const std::string_view zone = text.substr(percent + 1, end - percent - 1);
  const auto endpoint = IpEndpoint::parse(
      std::string(text.substr(0, percent)) + std::string(text.substr(end)), kDnsPort);
  if (!endpoint || !endpoint->address.is_v6() || zone.empty() || zone.size() >= IFNAMSIZ ||
      !std::all_of(zone.begin(), zone.end(), is_part_of_a_zone)) {
    return std::nullopt;
  }
  return Server{*endpoint, std::string(zone)};
}

ResolvOptions parse_resolv_options(std::string_view text) {
  ResolvOptions options;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (next_word(line) != "options") {
      continue;
    }
    for (auto word = next_word(line); !word.empty(); word = next_word(line)) {
      if (word == "use-vc") {
        options.use_vc = true;
      } else if (word == "rotate") {
        options.rotate = true;
      } else if (const auto seconds = number_behind("timeout:", word, kMostSeconds)) {
        options.timeout = Seconds(*seconds);
      } else if (const auto rounds = number_behind("attempts:", word, kMostAttempts)) {
        options.attempts = *rounds;
      }
    }
  }
  return options;
}

std::vector<Server> parse_resolv_conf(std::string_view text) {
  std::vector<Server> servers;
  while (!text.empty() && servers.size() < kMaxNameservers) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (next_word(line) != "nameserver") {
      continue;
    }
    const std::string_view word = next_word(line);
    const auto server = word.find('[') == std::string_view::npos ? parse_server(word)
                                                                 : std::nullopt;  // has no port
    if (server && server->port == kDnsPort &&
        std::find(servers.begin(), servers.end(), *server) == servers.end()) {
      servers.push_back(*server);
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
