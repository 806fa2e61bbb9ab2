#include "mtastsd/https/verification.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "handshake_limits.h"

namespace mtastsd::https {
namespace {

struct NamesFree {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

// The last one of that kind, in UTF-8; empty if there is none.
std::string entry_of(const X509_NAME* name, int nid) {
  int last = -1;
  for (int at = X509_NAME_get_index_by_NID(name, nid, -1); at >= 0;
       at = X509_NAME_get_index_by_NID(name, nid, at)) {
    last = at;
  }
  if (last < 0) {
    return "";
  }
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
  if (size < 0) {
    return "";
  }
  std::string result(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return result;
}

std::vector<std::string> dns_names(const X509* cert) {
  std::vector<std::string> result;
  const std::unique_ptr<GENERAL_NAMES, NamesFree> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()) && result.size() < kMaxNamesShown; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) {
      continue;
    }
    result.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                        static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  return result;
}

WallTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return {};
  }
  return WallTime(Seconds(timegm(&parts)));
}

Certificate describe(const X509* cert) {
  Certificate result;
  result.subject = entry_of(X509_get_subject_name(cert), NID_commonName);
  result.issuer = entry_of(X509_get_issuer_name(cert), NID_commonName);
  if (result.issuer.empty()) {
    result.issuer = entry_of(X509_get_issuer_name(cert), NID_organizationName);
  }
  result.names = dns_names(cert);
  result.not_before = time_of(X509_get0_notBefore(cert));
  result.not_after = time_of(X509_get0_notAfter(cert));
  return result;
}

std::string describe_key(const X509* cert) {
  const EVP_PKEY* key = X509_get0_pubkey(cert);
  if (key == nullptr) {
    return "";
  }
  const char* type = EVP_PKEY_get0_type_name(key);
  std::array<char, 64> group{};
  std::size_t size = 0;
  const bool named = EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1;
  return std::string(type != nullptr ? type : "unknown") + " " +
         (named ? std::string(group.data(), size) : std::to_string(EVP_PKEY_get_bits(key)));
}

// The CN of each certificate that came with the leaf, or else its organisation.
std::vector<std::string> describe_chain(const X509_STORE_CTX* store, const X509* leaf) {
  std::vector<std::string> subjects;
  const STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    const X509* cert = sk_X509_value(sent, i);
    if (cert == leaf) {
      continue;
    }
    const X509_NAME* name = X509_get_subject_name(cert);
    std::string subject = entry_of(name, NID_commonName);
    subjects.push_back(subject.empty() ? entry_of(name, NID_organizationName) : subject);
  }
  return subjects;
}

// The notes with what only the callbacks need.
struct Watched final : ConnectionNotes {
  CertificateRule rule = CertificateRule::Verify;
  int first_error = X509_V_OK;

  void note_problem(int error);
  int verify(X509_STORE_CTX* store);
  void verify_and_note(X509_STORE_CTX* store);
};

// Where an SSL_CTX keeps its share of the notes, until OpenSSL frees it.
int notes_index() {
  static const int index =
      SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr,
                               [](void*, void* share, CRYPTO_EX_DATA*, int, long, void*) noexcept {
                                 delete static_cast<std::shared_ptr<Watched>*>(share);
                               });
  return index;
}

// Where an X509_STORE_CTX keeps the notes while verify() runs.
int verifying_index() {
  static const int index = X509_STORE_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

void Watched::note_problem(int error) {
  if (first_error == X509_V_OK) {
    first_error = error;
    certificate->problem = X509_verify_cert_error_string(error);
  }
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
      certificate->name_matches = false;
      break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
      certificate->in_time = false;
      break;
    default:  // a long list that grows with OpenSSL, all of it about the chain
      certificate->chain_trusted = false;
      break;
  }
}

int Watched::verify(X509_STORE_CTX* store) {
  const X509* leaf = X509_STORE_CTX_get0_cert(store);
  refusal = refusal_of_chain(store);
  if (leaf == nullptr || (rule == CertificateRule::Verify && refusal.empty())) {
    return X509_verify_cert(store);
  }
  if (rule == CertificateRule::Verify) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  certificate = describe(leaf);
  certificate->chain_trusted = certificate->in_time = certificate->name_matches = true;
  first_error = X509_V_OK;
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  if (ssl != nullptr) {
    tls_version = SSL_get_version(ssl);
  }
  if (refusal.empty()) {
    certificate->key = describe_key(leaf);
    certificate->chain = describe_chain(store, leaf);
    verify_and_note(store);
  } else {
    first_error = X509_V_ERR_APPLICATION_VERIFICATION;
    certificate->chain_trusted = false;
    certificate->problem = refusal;
  }
  X509_STORE_CTX_set_error(store, first_error);
  return rule == CertificateRule::NoteAndCarryOn || first_error == X509_V_OK ? 1 : 0;
}

void Watched::verify_and_note(X509_STORE_CTX* store) {
  X509_STORE_CTX_set_ex_data(store, verifying_index(), this);
  X509_STORE_CTX_set_verify_cb(store, [](int good, X509_STORE_CTX* at) noexcept {
    if (good == 0) {
      static_cast<Watched*>(X509_STORE_CTX_get_ex_data(at, verifying_index()))
          ->note_problem(X509_STORE_CTX_get_error(at));
    }
    return 1;
  });
  // Fails without telling the callback when memory runs out or the call was wrong.
  if (X509_verify_cert(store) <= 0 && first_error == X509_V_OK) {
    note_problem(X509_V_ERR_UNSPECIFIED);
  }
}

// Null where nobody takes notes.
Watched* notes_of(const SSL* ssl) {
  const auto* share = static_cast<std::shared_ptr<Watched>*>(
      SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), notes_index()));
  return share != nullptr ? share->get() : nullptr;
}

void on_event(const SSL* ssl, int where, int value) noexcept {
  Watched* notes = notes_of(ssl);
  if (notes == nullptr) {
    return;
  }
  const int alert = where == SSL_CB_READ_ALERT ? value & 0xff : -1;
  if (alert == SSL_AD_CLOSE_NOTIFY) {
    notes->close_notified = true;
  } else if (alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_INSUFFICIENT_SECURITY) {
    notes->nothing_in_common = SSL_is_init_finished(ssl) == 0;
  } else if ((where & SSL_CB_HANDSHAKE_DONE) != 0) {
    notes->tls_version = SSL_get_version(ssl);
  }
}

// OpenSSL tells of each record when its head has arrived. What a record turns out to be, tickets
// and alerts and data, makes no difference.
void on_message(int written, int, int type, const void* bytes, std::size_t size, SSL* ssl,
                void*) noexcept {
  constexpr std::size_t kHeadBytes = SSL3_RT_HEADER_LENGTH;
  if (written != 0 || type != SSL3_RT_HEADER || size != kHeadBytes) {
    return;
  }
  if (Watched* notes = notes_of(ssl)) {
    const auto* head = static_cast<const unsigned char*>(bytes);
    notes->received += kHeadBytes + (std::size_t{head[3]} << 8) + head[4];
    if (notes->received > kMaxReceivedBytes) {
      SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
    }
  }
}

}  // namespace

bool require_dns_id(ssl_ctx_st* context, const std::string& host) {
  X509_VERIFY_PARAM* parameters = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(
      parameters, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(parameters, host.data(), host.size()) == 1;
}

std::shared_ptr<const ConnectionNotes> take_notes(ssl_ctx_st* context, CertificateRule rule) {
  auto notes = std::make_shared<Watched>();
  notes->rule = rule;
  auto share = std::make_unique<std::shared_ptr<Watched>>(notes);
  if (SSL_CTX_set_ex_data(context, notes_index(), share.get()) != 1) {
    return nullptr;
  }
  static_cast<void>(share.release());  // now the context's
  SSL_CTX_set_info_callback(context, &on_event);
  SSL_CTX_set_msg_callback(context, &on_message);
  SSL_CTX_set_cert_verify_callback(
      context,
      [](X509_STORE_CTX* store, void* self) noexcept {
        return static_cast<Watched*>(self)->verify(store);
      },
      notes.get());
  return notes;
}

}  // namespace mtastsd::https
