#include "smtp_reply.h"

#include <algorithm>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"

namespace mtastsd::check {
namespace {

constexpr std::size_t kCodeDigits = 3;
constexpr std::size_t kShownReply = 160;

bool is_reply_line(std::string_view line) {
  return line.size() >= kCodeDigits && line[0] >= '2' && line[0] <= '5' && is_digit(line[1]) &&
         is_digit(line[2]) &&
         (line.size() == kCodeDigits || line[kCodeDigits] == ' ' || line[kCodeDigits] == '-');
}

}  // namespace

std::string SmtpReply::str() const {
  return std::to_string(code) + " " + printable(lines.front(), kShownReply);
}

std::optional<Result<SmtpReply, std::string>> take_reply(std::string& received) {
  SmtpReply reply;
  std::size_t at = 0;
  for (;;) {
    const std::size_t end = received.find('\n', at);
    const std::size_t size = (end == std::string::npos ? received.size() : end) - at;
    if (size > kMaxReplyLine || at + size > kMaxReplyBytes) {
      return failure(std::string("its reply is too long"));
    }
    if (end == std::string::npos) {
      return std::nullopt;
    }
    std::string_view line(received.data() + at, size);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (!is_reply_line(line)) {
      return failure("not SMTP: " + in_quotes(line, kShownReply));
    }
    reply.code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    const bool last = line.size() == kCodeDigits || line[kCodeDigits] == ' ';
    reply.lines.emplace_back(line.substr(std::min(kCodeDigits + 1, line.size())));
    at = end + 1;
    if (last) {
      received.erase(0, at);
      return reply;
    }
  }
}

bool offers_starttls(const SmtpReply& ehlo) {
  constexpr std::string_view kKeyword = "STARTTLS";
  // The first line is the greeting.
  return std::any_of(ehlo.lines.begin() + std::min<std::ptrdiff_t>(1, std::ssize(ehlo.lines)),
                     ehlo.lines.end(), [&](std::string_view line) {
                       line = line.substr(0, line.find_first_of(" \t"));
                       return equal_ignoring_case(line, kKeyword);
                     });
}

}  // namespace mtastsd::check
