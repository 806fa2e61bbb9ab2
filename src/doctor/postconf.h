#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/doctor/facts.h"

// Readers of what postconf(1) prints.
namespace mtastsd::doctor {

// More than any master.cf has; the rest is not looked at.
inline constexpr std::size_t kMaxServices = 64;

// "name = value" a line; white space around both is dropped.
std::map<std::string, std::string, std::less<>> parse_parameters(std::string_view text);

// What postconf warns of on its standard error.
struct Warnings {
  std::vector<std::string> twice;    // parameters that main.cf has more than once
  std::vector<std::string> unknown;  // "name=value" that no program of Postfix uses
};
Warnings parse_warnings(std::string_view errors);

struct Master {
  std::vector<SmtpService> smtp;
  std::vector<std::string> others;  // the names of other services: "local/unix"
  bool proxymap_chroot = false;
};

// From `postconf -F` (fields: "relay/unix/chroot = y") and `postconf -P` ("-o" settings:
// "relay/unix/smtp_tls_security_level = may"). `chroot_default` is what "-" stands for.
Master parse_master(std::string_view fields, std::string_view overrides, bool chroot_default);

}  // namespace mtastsd::doctor
