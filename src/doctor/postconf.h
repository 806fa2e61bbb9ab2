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

struct Master {
  std::vector<SmtpService> smtp;
  bool proxymap_chroot = false;
};

// From `postconf -F` (fields: "relay/unix/chroot = y") and `postconf -P` ("-o" settings:
// "relay/unix/smtp_tls_security_level = may"). `chroot_default` is what "-" stands for.
Master parse_master(std::string_view fields, std::string_view overrides, bool chroot_default);

}  // namespace mtastsd::doctor
