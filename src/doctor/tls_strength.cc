#include "tls_strength.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include "mtastsd/base/ascii.h"

namespace mtastsd::doctor {
namespace {

constexpr std::string_view kSeparators = ", \t\r\n:";
// In their order; the names are those of Postfix.
constexpr std::array<std::string_view, 6> kVersions = {"SSLv2",   "SSLv3",   "TLSv1",
                                                       "TLSv1.1", "TLSv1.2", "TLSv1.3"};
constexpr std::size_t kTls1_2 = 4;
constexpr std::size_t kTls1_3 = 5;
// RFC 9325 section 4.2 recommends these, with an RSA or an ECDSA certificate.
constexpr std::array<std::string_view, 4> kUsual = {
    "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384"};

struct ContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// Takes the first word off the text; empty at its end.
std::string_view take_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(kSeparators), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find_first_of(kSeparators));
  text.remove_prefix(word.size());
  return word;
}

std::optional<std::size_t> version(std::string_view name) {
  const auto found = std::find_if(kVersions.begin(), kVersions.end(), [&](std::string_view one) {
    return equal_ignoring_case(one, name);
  });
  return found == kVersions.end()
             ? std::nullopt
             : std::optional(static_cast<std::size_t>(std::distance(kVersions.begin(), found)));
}

}  // namespace

std::optional<Protocols> read_protocols(std::string_view text) {
  std::array<bool, kVersions.size()> included{};
  std::array<bool, kVersions.size()> excluded{};
  std::size_t lowest = 0;
  std::size_t highest = kVersions.size() - 1;
  for (std::string_view word = take_word(text); !word.empty(); word = take_word(text)) {
    const std::size_t mark = std::min(word.find_first_not_of("!<>="), word.size());
    const std::string_view sign = word.substr(0, mark);
    const auto number = version(word.substr(mark));
    if (!number) {
      return std::nullopt;
    }
    if (sign.empty()) {
      included.at(*number) = true;
    } else if (sign == "!") {
      excluded.at(*number) = true;
    } else if (sign == ">=") {
      lowest = *number;
    } else if (sign == "<=") {
      highest = *number;
    } else {
      return std::nullopt;
    }
  }
  const bool all = std::none_of(included.begin(), included.end(), [](bool one) { return one; });
  const auto enabled = [&](std::size_t number) {
    return number >= lowest && number <= highest && !excluded.at(number) &&
           (all || included.at(number));
  };
  return Protocols{enabled(kTls1_2), enabled(kTls1_3)};
}

bool leaves_usual_ciphers(const std::string& list, std::string_view excluded) {
  const std::unique_ptr<SSL_CTX, ContextFree> context(SSL_CTX_new(TLS_client_method()));
  std::string text = list;
  for (std::string_view word = take_word(excluded); !word.empty(); word = take_word(excluded)) {
    text.append(":!").append(word);
  }
  if (context == nullptr || SSL_CTX_set_cipher_list(context.get(), text.c_str()) != 1) {
    return false;
  }
  const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context.get());
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const std::string_view name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i));
    if (std::find(kUsual.begin(), kUsual.end(), name) != kUsual.end()) {
      return true;
    }
  }
  return false;
}

}  // namespace mtastsd::doctor
