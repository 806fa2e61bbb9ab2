// A request, "map key", and the domain that its key asks for.

#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "mtastsd/base/ascii.h"
#include "mtastsd/base/utf8.h"
#include "mtastsd/postfix/request.h"

using namespace mtastsd;
using fuzz::require;

namespace {

constexpr std::string_view kHostChars = "abcdefghijklmnopqrstuvwxyz0123456789-.";

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return result;
}

void check_key(std::string_view key) {
  const auto domain = postfix::policy_domain_of(key);
  if (!domain) {
    return;
  }
  const std::string_view name = domain->view();
  require(domain->under("_mta-sts").has_value(), "the record label fits in front");
  require(domain->view().find('.') != std::string_view::npos, "two labels at least");
  require(fuzz::only_from(name, kHostChars), "host-name characters only");
  require(name.front() != '.' && name.back() != '.' && fuzz::count(name, "..") == 0,
          "no empty label");
  require(!all_digits(name.substr(name.rfind('.') + 1)), "no address");
  require(key.find_first_of(std::string_view("\0 \t\r\n@/,{}\\#?\"", 14)) == std::string_view::npos,
          "a key with such a character is no next hop");
  require(is_utf8(key), "a key that is no UTF-8 is no next hop");
  if (is_ascii(key)) {
    require(lower(key).find(name) != std::string::npos, "an ASCII domain stands in its key");
  }
  require(postfix::policy_domain_of(name) == domain, "a domain asks for itself");
  require(postfix::policy_domain_of("[" + domain->str() + ".]:25") == domain,
          "brackets, final dot and port change nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view payload = fuzz::as_text(data, size);
  const auto request = postfix::split_request(payload);
  require(request.map.find(' ') == std::string_view::npos, "no space in a map name");
  if (request.map.size() < payload.size()) {
    require(request.map.size() + 1 + request.key.size() == payload.size(), "nothing is lost");
    require(request.key.data() == payload.data() + request.map.size() + 1, "the key is the rest");
  } else {
    require(request.key.empty(), "no space, no key");
  }
  check_key(request.key);
  check_key(payload);
  return 0;
}
