// The dialogue of `check --smtp` with a mail server: the input is what the server says, with a byte
// 0xFF wherever it waits for the client to say something. The server hangs up at the end.

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/loopback.h"
#include "fuzz/require.h"
#include "mtastsd/base/ascii.h"
#include "mtastsd/event/loop.h"
#include "smtp_probe.h"

using namespace mtastsd;
using fuzz::require;

namespace {

constexpr std::size_t kMaxTurns = 12;
constexpr Milliseconds kSilence{5};  // after which a server that waits goes on
constexpr Milliseconds kLimit{5000};
constexpr char kSeparator = '\xff';
constexpr std::string_view kEhlo = "EHLO me.test\r\n";
constexpr std::string_view kStartTls = "STARTTLS\r\n";
constexpr std::string_view kQuit = "QUIT\r\n";

std::vector<std::string_view> turns_of(std::string_view text) {
  std::vector<std::string_view> turns;
  while (turns.size() < kMaxTurns && !text.empty()) {
    const std::size_t end = std::min(text.find(kSeparator), text.size());
    turns.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return turns;
}

// One connection of the mail server, on the loop of the probe.
class MailServer {
 public:
  MailServer(mtastsd::event::Loop& loop, std::vector<std::string_view> turns)
      : loop_(loop),
        listener_(SOCK_NONBLOCK),
        turns_(std::move(turns)),
        silence_(loop.make_timer([this] { next_turn(); })) {
    watch_ = loop.watch(listener_.fd(), mtastsd::event::Interest::Read,
                        [this](mtastsd::event::Interest) { accept(); });
  }
  std::uint16_t port() const { return listener_.port(); }
  const std::string& heard() const { return heard_; }

  // What the client said and nobody has read yet.
  void hear_the_rest() {
    while (hear()) {
    }
  }

 private:
  void accept() {
    connection_ = listener_.accept(SOCK_NONBLOCK);
    watch_ = loop_.watch(connection_.get(), mtastsd::event::Interest::Read,
                         [this](mtastsd::event::Interest) {
                           if (hear()) {
                             next_turn();
                           } else {
                             watch_->set(mtastsd::event::Interest::None);
                           }
                         });
    next_turn();
  }
  bool hear() {
    std::array<char, 4096> bytes;
    const ssize_t got = connection_ ? ::recv(connection_.get(), bytes.data(), bytes.size(), 0) : 0;
    heard_.append(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return got > 0;
  }
  void next_turn() {
    if (turn_ == turns_.size()) {
      ::shutdown(connection_.get(), SHUT_WR);
      return;
    }
    const std::string_view text = turns_[turn_++];
    static_cast<void>(::send(connection_.get(), text.data(), text.size(), MSG_NOSIGNAL));
    silence_->arm(kSilence);
  }

  mtastsd::event::Loop& loop_;
  fuzz::Listener listener_;
  Fd connection_;
  std::vector<std::string_view> turns_;
  std::size_t turn_ = 0;
  std::string heard_;
  std::unique_ptr<mtastsd::event::Timer> silence_;
  std::unique_ptr<mtastsd::event::FdWatch> watch_;  // depends-on: listener_, connection_
};

void check_what_was_said(std::string_view heard, const check::Fact<check::Smtp>& smtp) {
  if (heard.empty()) {
    require(!smtp.known(), "nothing is known of a server that does not greet");
    return;
  }
  require(heard.starts_with(kEhlo), "the first command is EHLO");
  heard.remove_prefix(kEhlo.size());
  if (heard.starts_with(kStartTls)) {
    heard.remove_prefix(kStartTls.size());
    require(heard.empty() || heard.front() == 0x16, "after STARTTLS there is only TLS");
    require(!smtp.known() || !smtp.value.tls_error.empty(), "and none comes about with rubbish");
  } else {
    require(heard.empty() || heard == kQuit, "without STARTTLS there is only QUIT");
    require(!smtp.known() || !smtp.value.starttls, "and it was not offered");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::signal(SIGPIPE, SIG_IGN);
  static const check::TrustStore trusted("/dev/null");
  const std::string_view text = fuzz::as_text(data, size);
  mtastsd::event::Loop loop;
  MailServer server(loop, turns_of(text));
  std::optional<check::Fact<check::Smtp>> result;
  std::unique_ptr<check::SmtpProbe> probe;
  probe = std::make_unique<check::SmtpProbe>(
      loop, trusted,
      check::SmtpTarget{
          *DomainName::parse("mx.test"), {fuzz::next_loopback()}, server.port(), "me.test"},
      kLimit, [&](check::Fact<check::Smtp> smtp) {
        require(!result, "there is one result");
        result = std::move(smtp);
        probe.reset();
        loop.stop();
      });
  loop.run();
  server.hear_the_rest();
  require(result->known() || fuzz::fit_to_print(result->why), "why it is not known can be printed");
  require(result->value.tls_error.empty() || fuzz::fit_to_print(result->value.tls_error),
          "so can what is wrong with TLS");
  require(!result->value.starttls || lower_case(text).find("starttls") != std::string::npos,
          "what is offered comes from the server");
  require(!result->value.certificate && result->value.tls_version.empty(),
          "no handshake came about");
  check_what_was_said(server.heard(), *result);
  return 0;
}
