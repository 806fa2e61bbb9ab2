#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/check/facts.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/https/verification.h"
#include "smtp_reply.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_store_st;

namespace mtastsd::check {

// The authorities of a PEM bundle, read once for all probes.
class TrustStore {
 public:
  explicit TrustStore(const std::string& ca_file);  // that cannot be read: nobody is trusted
  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

  x509_store_st* get() const { return store_; }

 private:
  x509_store_st* store_;
};

struct ContextFree {
  void operator()(ssl_ctx_st* context) const;
};
struct SslFree {
  void operator()(ssl_st* ssl) const;
};

inline constexpr std::uint16_t kSmtpPort = 25;

struct SmtpTarget {
  DomainName host;
  IpAddress address;
  std::uint16_t port = kSmtpPort;
  std::string helo;  // what to be called in EHLO
};

// Finds out what a sender would find at one address of an MX host: greeting, EHLO, STARTTLS, the
// handshake as RFC 8461 section 4.2 has it, and QUIT. Sends no mail. Everything a server says is
// bounded, in size and in time.
class SmtpProbe {
 public:
  // The callback runs once, never before the constructor has returned, and may destroy the
  // probe. Destroying it cancels.
  SmtpProbe(event::Loop& loop, const TrustStore& trusted, SmtpTarget target, Milliseconds limit,
            std::function<void(Fact<Smtp>)> callback);
  ~SmtpProbe();
  SmtpProbe(const SmtpProbe&) = delete;
  SmtpProbe& operator=(const SmtpProbe&) = delete;

 private:
  enum class State { Idle, Connecting, Greeting, Ehlo, StartTls, Handshake };

  void start();
  void cannot_connect(int error);
  void on_deadline();
  void on_ready();
  void connected();
  void read_replies();
  void on_reply(const SmtpReply& reply);
  void send(std::string_view line);
  void start_handshake();
  bool make_ssl();
  void shake_hands();
  void quit();
  void finish(Fact<Smtp> result);
  void cannot_tell(std::string why) { finish(Fact<Smtp>::unknown(std::move(why))); }
  void known() { finish(Fact<Smtp>::is(smtp_)); }
  std::string at_address(std::string text) const { return smtp_.address + ": " + std::move(text); }

  event::Loop& loop_;
  const TrustStore& trusted_;
  SmtpTarget target_;
  std::function<void(Fact<Smtp>)> callback_;
  std::unique_ptr<event::Timer> deadline_;
  std::unique_ptr<event::Timer> connect_timer_;
  State state_ = State::Idle;
  std::string received_;
  Smtp smtp_;
  Fd socket_;
  std::unique_ptr<ssl_ctx_st, ContextFree> context_;  // depends-on: socket_
  std::shared_ptr<const https::ConnectionNotes> connection_;
  std::unique_ptr<ssl_st, SslFree> ssl_;   // depends-on: context_
  std::unique_ptr<event::FdWatch> watch_;  // depends-on: socket_
};

}  // namespace mtastsd::check
