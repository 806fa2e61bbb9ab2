// One connection at a time, non-blocking, on the loop. The handshake goes on whatever the
// certificate is, so that all there is to say about a server is said; nothing but EHLO, STARTTLS
// and QUIT is ever sent.

#include "smtp_probe.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "mtastsd/base/text.h"
#include "mtastsd/https/authorities.h"

namespace mtastsd::check {
namespace {

constexpr Milliseconds kConnectLimit{5000};
constexpr std::size_t kReadSize = 4096;

// 0 or the errno.
int start_connect(const Fd& socket, const IpAddress& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.str().c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    return EINVAL;
  }
  const int error = ::connect(socket.get(), found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  ::freeaddrinfo(found);
  return error;
}

// The oldest error of OpenSSL's queue, which is then empty.
std::string openssl_error() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* reason = error != 0 ? ERR_reason_error_string(error) : nullptr;
  return reason != nullptr ? reason : "the server closed the connection";
}

}  // namespace

TrustStore::TrustStore(const std::string& ca_file) : store_(X509_STORE_new()) {
  if (store_ != nullptr) {
    https::load_authorities(store_, ca_file);
  }
}

TrustStore::~TrustStore() {
  X509_STORE_free(store_);
}

SmtpProbe::SmtpProbe(event::Loop& loop, const TrustStore& trusted, SmtpTarget target,
                     Milliseconds limit, std::function<void(Fact<Smtp>)> callback)
    : loop_(loop),
      trusted_(trusted),
      target_(std::move(target)),
      callback_(std::move(callback)),
      deadline_(loop.make_timer([this] { on_deadline(); })),
      connect_timer_(loop.make_timer([this] {
        if (state_ == State::Connecting) {
          cannot_connect(ETIMEDOUT);
        } else {
          start();
        }
      })) {
  deadline_->arm(limit);
  connect_timer_->arm(Milliseconds(0));
}

SmtpProbe::~SmtpProbe() = default;

void ContextFree::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}

void SslFree::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}

void SmtpProbe::start() {
  const IpAddress& address = target_.address;
  smtp_.address = address.str();
  socket_ = Fd(::socket(address.is_v6() ? AF_INET6 : AF_INET,
                        SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int error = socket_.get() < 0 ? errno : start_connect(socket_, address, target_.port);
  if (error != 0 && error != EINPROGRESS) {
    cannot_connect(error);  // Nothing may follow: it can destroy *this.
    return;
  }
  state_ = State::Connecting;
  connect_timer_->arm(kConnectLimit);
  watch_ =
      loop_.watch(socket_.get(), event::Interest::Write, [this](event::Interest) { on_ready(); });
}

void SmtpProbe::cannot_connect(int error) {
  cannot_tell("no connection to " + smtp_.address + " (" + std::strerror(error) + ")");
}

void SmtpProbe::on_deadline() {
  switch (state_) {
    case State::Idle:
    case State::Connecting:
      cannot_connect(ETIMEDOUT);
      return;
    case State::Greeting:
    case State::Ehlo:
    case State::StartTls:
      cannot_tell(at_address("timeout: no reply"));
      return;
    case State::Handshake:
      smtp_.tls_error = "timeout";
      known();
      return;
  }
}

void SmtpProbe::on_ready() {
  switch (state_) {
    case State::Idle:
      return;
    case State::Connecting:
      connected();
      return;
    case State::Greeting:
    case State::Ehlo:
    case State::StartTls:
      read_replies();
      return;
    case State::Handshake:
      shake_hands();
      return;
  }
}

void SmtpProbe::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    cannot_connect(error);  // Nothing may follow: it can destroy *this.
    return;
  }
  connect_timer_->cancel();
  state_ = State::Greeting;
  watch_->set(event::Interest::Read);
}

void SmtpProbe::read_replies() {
  char buffer[kReadSize];
  const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (got <= 0) {
    cannot_tell(at_address(got == 0 ? "the server closed the connection" : std::strerror(errno)));
    return;
  }
  received_.append(buffer, static_cast<std::size_t>(got));
  auto reply = take_reply(received_);
  if (!reply) {
    return;
  }
  if (!*reply) {
    cannot_tell(at_address(reply->error()));
    return;
  }
  // RFC 3207 section 4.2: what came with the reply in clear text could be anybody's; and no
  // command was sent that it could answer.
  if (!received_.empty()) {
    cannot_tell(at_address("the server sent more than was asked"));
    return;
  }
  on_reply(**reply);  // Nothing may follow: it can destroy *this.
}

void SmtpProbe::on_reply(const SmtpReply& reply) {
  if (state_ == State::Greeting) {
    if (!reply.positive()) {
      cannot_tell(at_address("greeted with " + reply.str()));
      return;
    }
    state_ = State::Ehlo;
    send("EHLO " + target_.helo + "\r\n");
  } else if (state_ == State::Ehlo) {
    if (reply.code >= 400 && reply.code < 500) {
      cannot_tell(at_address("EHLO was answered with " + reply.str()));
      return;
    }
    smtp_.starttls = reply.positive() && offers_starttls(reply);
    if (!smtp_.starttls) {
      send("QUIT\r\n");
      known();
      return;
    }
    state_ = State::StartTls;
    send("STARTTLS\r\n");
  } else if (reply.code == 220) {
    start_handshake();
  } else {
    smtp_.tls_error = "STARTTLS was answered with " + reply.str();
    known();
  }
}

// A command always fits into an empty send buffer; one that does not arrive is not answered.
void SmtpProbe::send(std::string_view line) {
  static_cast<void>(::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL));
}

bool SmtpProbe::make_ssl() {
  context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!context_ || trusted_.get() == nullptr ||
      !https::require_dns_id(context_.get(), target_.host.str())) {
    return false;
  }
  SSL_CTX_set1_cert_store(context_.get(), trusted_.get());
  // So that a server that speaks nothing newer is told from one that speaks no TLS. What
  // certificates need stays as it is.
  const int level = SSL_CTX_get_security_level(context_.get());
  SSL_CTX_set_security_level(context_.get(), 0);
  X509_VERIFY_PARAM_set_auth_level(SSL_CTX_get0_param(context_.get()), level);
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  connection_ = https::take_notes(context_.get(), https::CertificateRule::NoteAndCarryOn);
  ssl_.reset(SSL_new(context_.get()));
  // RFC 8461 section 7.1: SNI is the MX host.
  return connection_ && ssl_ &&
         SSL_set_tlsext_host_name(ssl_.get(), target_.host.str().c_str()) == 1 &&
         SSL_set_fd(ssl_.get(), socket_.get()) == 1;
}

void SmtpProbe::start_handshake() {
  state_ = State::Handshake;
  ERR_clear_error();
  if (!make_ssl()) {
    cannot_tell("TLS cannot be set up here: " + openssl_error());
    return;
  }
  shake_hands();  // Nothing may follow: it can destroy *this.
}

void SmtpProbe::shake_hands() {
  ERR_clear_error();
  const int done = SSL_connect(ssl_.get());
  const int error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    watch_->set(error == SSL_ERROR_WANT_READ ? event::Interest::Read : event::Interest::Write);
    return;
  }
  smtp_.certificate = connection_->certificate;
  if (error == SSL_ERROR_NONE) {
    smtp_.tls_version = SSL_get_version(ssl_.get());
    quit();
  } else {
    smtp_.tls_error = openssl_error();
  }
  known();  // Nothing may follow: it can destroy *this.
}

// Polite, and not waited for.
void SmtpProbe::quit() {
  constexpr std::string_view kQuit = "QUIT\r\n";
  static_cast<void>(SSL_write(ssl_.get(), kQuit.data(), static_cast<int>(kQuit.size())));
  static_cast<void>(SSL_shutdown(ssl_.get()));
  ERR_clear_error();
}

void SmtpProbe::finish(Fact<Smtp> result) {
  deadline_->cancel();
  connect_timer_->cancel();
  watch_.reset();
  ssl_.reset();
  socket_ = Fd();
  const auto callback = std::move(callback_);
  callback(std::move(result));  // Nothing may follow: it can destroy *this.
}

}  // namespace mtastsd::check
