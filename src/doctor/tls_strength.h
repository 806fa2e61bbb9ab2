#pragma once

#include <optional>
#include <string>
#include <string_view>

// What is left of TLS under Postfix's parameters for protocols and ciphers. Pure.
namespace mtastsd::doctor {

struct Protocols {
  bool tls1_2 = false;
  bool tls1_3 = false;
};

// Reads smtp_tls_mandatory_protocols or smtp_tls_protocols: names, "!" and a name, ">=" and "<="
// with a name; an empty text means all. nullopt if Postfix refuses it.
std::optional<Protocols> read_protocols(std::string_view text);

// True if the ciphers that most mail servers with TLS 1.2 have are usable under a cipher list of
// OpenSSL and what Postfix excludes from it.
bool leaves_usual_ciphers(const std::string& list, std::string_view excluded);

}  // namespace mtastsd::doctor
