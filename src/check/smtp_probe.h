#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/check/facts.h"
#include "mtastsd/event/loop.h"

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

inline constexpr std::uint16_t kSmtpPort = 25;

struct SmtpTarget {
  DomainName host;
  std::vector<IpAddress> addresses;  // at least one; tried in this order until one connects
  std::uint16_t port = kSmtpPort;
  std::string helo;  // what to be called in EHLO
};

// Finds out what a sender would find at an MX host: greeting, EHLO, STARTTLS, the handshake as
// RFC 8461 section 4.2 has it, and QUIT. Sends no mail. Everything a server says is bounded, in
// size and in time.
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
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtastsd::check
