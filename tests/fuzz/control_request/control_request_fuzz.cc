// What a local user can send to the control socket: each line as a request, and all of it through
// the server, in two pieces.

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/control/server.h"
#include "mtastsd/event/loop.h"

using namespace mtastsd;
using fuzz::require;

namespace {

constexpr std::size_t kMaxThroughServer = 4096;  // each line costs some turns of the loop
constexpr Milliseconds kPatience{30000};

std::vector<std::string_view> whole_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos;) {
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

void check_request(std::string_view line) {
  const auto request = control::decode_request(line);
  if (!request) {
    require(fuzz::fit_to_print(request.error().message), "the refusal can be printed");
    const auto reply = control::decode_reply(
        control::encode(control::Reply(tl::make_unexpected(request.error()))));
    require(!reply && reply.error().problem == request.error().problem,
            "the tool is told what is wrong");
    return;
  }
  const std::string written = control::encode(*request);
  require(written.find('\n') == std::string::npos, "a request is one line");
  const auto again = control::decode_request(written);
  require(again && control::encode(*again) == written,
          "what was read is written and read the same");
}

// Sends `text` to the server and takes `replies` lines from it.
class Peer {
 public:
  Peer(mtastsd::event::Loop& loop, int fd, std::string_view text, std::size_t replies)
      : loop_(loop),
        fd_(fd),
        replies_(replies),
        watch_(loop.watch(fd, mtastsd::event::Interest::Read,
                          [this](mtastsd::event::Interest) { read(); })) {
    const std::string_view first = text.substr(0, text.size() / 2);
    send(first);
    loop.post([this, rest = text.substr(first.size())] { send(rest); });
  }

 private:
  void send(std::string_view text) {
    require(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(text.size()),
            "it is taken");
  }
  void read() {
    std::array<char, 4096> bytes;
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    require(got > 0, "the connection stays");
    replies_ -= static_cast<std::size_t>(std::count(bytes.begin(), bytes.begin() + got, '\n'));
    if (replies_ == 0) {
      loop_.stop();
    }
  }

  mtastsd::event::Loop& loop_;
  const Fd fd_;
  std::size_t replies_;
  std::unique_ptr<mtastsd::event::FdWatch> watch_;
};

void check_server(std::string_view text, const std::vector<std::string_view>& lines) {
  mtastsd::event::Loop loop;
  std::size_t at = 0;
  control::Server* replying = nullptr;
  control::Server server(loop, [&](std::string_view line, std::uint64_t connection) {
    require(at < lines.size() && line == lines[at], "the lines come as they were sent");
    ++at;
    replying->reply(connection, "{}");
  });
  replying = &server;
  std::array<int, 2> ends{};
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0,
          "two sockets");
  server.add(ends[0]);
  const Peer peer(loop, ends[1], text, lines.size());
  const auto patience = loop.make_timer([] { require(false, "each line has a reply"); });
  patience->arm(kPatience);
  loop.run();
  require(at == lines.size() && server.connections() == 1, "every line was handled, once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  check_request(text);
  for (const std::string_view line : whole_lines(text)) {
    check_request(line);
  }
  const std::string_view sent = text.substr(0, kMaxThroughServer);
  if (const auto lines = whole_lines(sent); !lines.empty()) {
    check_server(sent, lines);
  }
  return 0;
}
