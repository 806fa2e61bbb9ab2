#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "mtastsd/https/observation.h"

struct ssl_ctx_st;

namespace mtastsd::https {

// RFC 8461 sections 3.3 and 4.2: makes `context` judge certificates by their DNS-IDs for `host`
// alone, with "*" standing for one whole label. Needs SSL_VERIFY_PEER. False if OpenSSL is out of
// memory.
bool require_dns_id(ssl_ctx_st* context, const std::string& host);

// What OpenSSL reported about a connection so far.
struct ConnectionNotes {
  std::optional<Certificate> certificate;  // only if the certificate was to be noted
  std::string tls_version;                 // "TLSv1.3", once the handshake got as far as that
  std::string refusal;             // why its certificates were not looked at; empty: they were
  bool nothing_in_common = false;  // the peer takes none of the ciphers and groups
  std::size_t received = 0;        // bytes of TLS records, whatever is in them
  bool close_notified = false;     // the peer has ended its side with close_notify
};

// What may be received on one connection, whatever it is. Beyond this, OpenSSL is told that the
// peer has ended its side.
inline constexpr std::size_t kMaxReceivedBytes = 512 * 1024;

enum class CertificateRule {
  Verify,          // OpenSSL's own verdict, nothing noted
  VerifyAndNote,   // the same verdict, but everything that is wrong is noted, not only the first
  NoteAndCarryOn,  // noted, and the handshake goes on with any certificate
};

// Before OpenSSL verifies signatures, certificates whose number or keys are beyond reason are
// refused.
//
// Takes notes of the connection that is made with `context`, one at a time, on the thread that
// drives it. nullptr if OpenSSL is out of memory.
//
// The context owns the notes together with the caller, and its callbacks lead to the notes only:
// libcurl may keep a connection with its context and callbacks for longer than the transfer (since
// 8.10 it shuts TLS down in the background), so nothing there may point to anything of ours.
std::shared_ptr<const ConnectionNotes> take_notes(ssl_ctx_st* context, CertificateRule rule);

}  // namespace mtastsd::https
