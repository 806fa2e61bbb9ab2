#include "mtastsd/https/verification.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>

#include "test_ca.h"

namespace mtastsd::https {
namespace {

struct ContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextFree>;
struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Ssl = std::unique_ptr<SSL, SslFree>;

// A client and a server that talk in memory.
class Pair {
 public:
  explicit Pair(SSL_CTX* client_context) {
    static const test::Identity root = test::make_root("root");
    static const test::Identity leaf =
        test::make_identity({.cn = "x", .dns_names = {"mx.example.com"}}, &root);
    server_context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(server_context_.get(), leaf.cert.get());
    SSL_CTX_use_PrivateKey(server_context_.get(), leaf.key.get());
    client_.reset(SSL_new(client_context));
    server_.reset(SSL_new(server_context_.get()));
    BIO* to_client = nullptr;
    BIO* to_server = nullptr;
    BIO_new_bio_pair(&to_client, 0, &to_server, 0);
    SSL_set_bio(client_.get(), to_client, to_client);
    SSL_set_bio(server_.get(), to_server, to_server);
  }
  bool shake_hands() {
    for (int step = 0; step < 10; ++step) {
      const int client = SSL_connect(client_.get());
      const int server = SSL_accept(server_.get());
      if (client == 1 && server == 1) {
        return true;
      }
    }
    return false;
  }
  void server_says_goodbye() {
    SSL_shutdown(server_.get());
    char byte = 0;
    EXPECT_LE(SSL_read(client_.get(), &byte, 1), 0);
  }

 private:
  Context server_context_;
  Ssl client_;
  Ssl server_;
};

Context client_context() {
  Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return context;
}

TEST(TakeNotes, NotesWhatTheConnectionShows) {
  const Context context = client_context();
  const auto notes = take_notes(context.get(), CertificateRule::NoteAndCarryOn);
  Pair pair(context.get());
  ASSERT_TRUE(pair.shake_hands());
  EXPECT_EQ(notes->tls_version, "TLSv1.3");
  ASSERT_TRUE(notes->certificate);
  EXPECT_FALSE(notes->certificate->chain_trusted);
  EXPECT_FALSE(notes->close_notified);
  pair.server_says_goodbye();
  EXPECT_TRUE(notes->close_notified);
}

TEST(TakeNotes, TheVerdictIsOpenSslsUnlessItIsToCarryOn) {
  for (const auto rule : {CertificateRule::Verify, CertificateRule::VerifyAndNote}) {
    const Context context = client_context();
    const auto notes = take_notes(context.get(), rule);
    EXPECT_FALSE(Pair(context.get()).shake_hands());
    EXPECT_EQ(notes->certificate.has_value(), rule == CertificateRule::VerifyAndNote);
  }
}

// libcurl keeps a connection for longer than the transfer that it was made for.
TEST(TakeNotes, TheContextMayOutliveItsUser) {
  Context context = client_context();
  auto notes = take_notes(context.get(), CertificateRule::NoteAndCarryOn);
  const std::weak_ptr<const ConnectionNotes> watched = notes;
  notes.reset();
  {
    Pair pair(context.get());
    ASSERT_TRUE(pair.shake_hands());
    pair.server_says_goodbye();
  }
  EXPECT_FALSE(watched.expired());
  context.reset();
  EXPECT_TRUE(watched.expired()) << "the context must give up its share";
}

TEST(TakeNotes, TheUserMayOutliveTheContext) {
  Context context = client_context();
  const auto notes = take_notes(context.get(), CertificateRule::NoteAndCarryOn);
  ASSERT_TRUE(Pair(context.get()).shake_hands());
  context.reset();
  EXPECT_EQ(notes->tls_version, "TLSv1.3");
}

}  // namespace
}  // namespace mtastsd::https
