#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/result.h"

namespace mtastsd::check {

// RFC 5321 section 4.5.3.1.5 has 512 bytes a line; some servers say more.
inline constexpr std::size_t kMaxReplyLine = 2048;
inline constexpr std::size_t kMaxReplyBytes = 32 * 1024;

// A reply of an SMTP server, several lines or one (RFC 5321 section 4.2).
struct SmtpReply {
  int code = 0;
  std::vector<std::string> lines;  // without codes and line ends

  bool positive() const { return code >= 200 && code < 300; }
  std::string str() const;  // "220 mail.example.com", the first line, printable
};

// Takes the first reply off `received`; nullopt as long as it is not complete. An error: the
// server does not speak SMTP, or says too much.
std::optional<Result<SmtpReply, std::string>> take_reply(std::string& received);

// Whether a reply to EHLO offers STARTTLS (RFC 3207 section 4).
bool offers_starttls(const SmtpReply& ehlo);

}  // namespace mtastsd::check
