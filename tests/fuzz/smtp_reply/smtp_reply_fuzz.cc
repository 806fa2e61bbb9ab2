// What an SMTP server sends, taken reply by reply: all at once, and in pieces (of a byte, where it
// is short).

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "smtp_reply.h"

using namespace mtastsd;
using fuzz::require;

namespace {

// As much as one run looks at: what comes in pieces is looked through at each.
constexpr std::size_t kMaxInput = 40 * 1024;
constexpr std::size_t kMaxPieces = 128;

struct Session {
  std::vector<check::SmtpReply> replies;
  std::optional<std::string> error;
  std::string left;

  // False after an error.
  bool take_all() {
    while (auto reply = check::take_reply(left)) {
      if (!*reply) {
        error = reply->error();
        return false;
      }
      replies.push_back(std::move(**reply));
    }
    return true;
  }
};

void check_reply(const check::SmtpReply& reply, std::string_view text) {
  require(reply.code >= 200 && reply.code <= 599, "a code has three digits");
  require(reply.positive() == (reply.code / 100 == 2), "2xx is good");
  require(!reply.lines.empty(), "a reply has a line");
  std::size_t bytes = 0;
  for (const std::string& line : reply.lines) {
    require(line.find('\n') == std::string::npos, "a line is one line");
    require(line.size() <= check::kMaxReplyLine, "a line has its bound");
    require(text.find(line) != std::string_view::npos, "the text comes from the server");
    bytes += 4 + line.size();
  }
  require(bytes <= check::kMaxReplyBytes + reply.lines.size(), "a reply has its bound");
  require(fuzz::fit_to_print(reply.str()), "the first line can be printed");
  if (check::offers_starttls(reply)) {
    require(reply.lines.size() > 1, "the greeting offers nothing");
  }
}

bool same(const check::SmtpReply& a, const check::SmtpReply& b) {
  return a.code == b.code && a.lines == b.lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, std::min(size, kMaxInput));
  Session whole;
  whole.left = text;
  whole.take_all();
  std::size_t lines = 0;
  for (const check::SmtpReply& reply : whole.replies) {
    check_reply(reply, text);
    lines += reply.lines.size();
  }
  require(text.ends_with(whole.left), "what is left is the end");
  const std::string_view taken = text.substr(0, text.size() - whole.left.size());
  require(fuzz::count(taken, "\n") == lines, "what was taken is in the replies, line by line");
  require(!whole.error || fuzz::fit_to_print(*whole.error), "the error can be printed");
  require(whole.error || whole.left.size() <= check::kMaxReplyBytes, "what waits has its bound");

  Session pieces;
  const std::size_t step = 1 + text.size() / kMaxPieces;
  for (std::size_t at = 0; at < text.size(); at += step) {
    pieces.left += text.substr(at, step);
    if (!pieces.take_all()) {
      break;
    }
  }
  require(std::equal(whole.replies.begin(), whole.replies.end(), pieces.replies.begin(),
                     pieces.replies.end(), same),
          "how it comes in pieces changes no reply");
  require(whole.error.has_value() == pieces.error.has_value(), "nor whether it is SMTP");
  return 0;
}
