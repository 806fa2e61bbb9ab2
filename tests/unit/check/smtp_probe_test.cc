#include "smtp_probe.h"

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "unit/https/tls_server.h"

namespace mtastsd::check {
namespace {

using https::test::CertSpec;
using https::test::Identity;
using https::test::make_identity;

constexpr char kHost[] = "mx.example.com";

// Serves one connection on 127.0.0.1.
class OneServer {
 public:
  explicit OneServer(std::function<void(int)> serve) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, generic, size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve = std::move(serve)] {
      const int fd = accept(listener_, nullptr, nullptr);
      const timeval patience{3, 0};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      serve(fd);
      close(fd);
    });
  }
  ~OneServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::uint16_t port() const { return port_; }

 private:
  int listener_;
  std::uint16_t port_;
  std::thread thread_;
};

void say(int fd, const std::string& text) {
  send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}
// What the client says next; empty when it has hung up.
std::string hear(int fd) {
  char buffer[512];
  const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
  return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
}

class SmtpProbeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    https::test::write_pem(ca_file_, root_.cert.get());
  }
  void TearDown() override { std::remove(ca_file_.c_str()); }

  Fact<Smtp> probe(std::uint16_t port, Milliseconds limit = Milliseconds(5000)) {
    const TrustStore trusted(ca_file_);
    std::optional<Fact<Smtp>> result;
    std::unique_ptr<SmtpProbe> running = std::make_unique<SmtpProbe>(
        loop_, trusted,
        SmtpTarget{*DomainName::parse(kHost), *IpAddress::parse("127.0.0.1"), port, "me.test"},
        limit, [&](Fact<Smtp> smtp) {
          result = std::move(smtp);
          running.reset();  // allowed
          loop_.stop();
        });
    EXPECT_FALSE(result);
    loop_.run();
    return *std::move(result);
  }
  Fact<Smtp> probe(std::function<void(int)> serve, Milliseconds limit = Milliseconds(5000)) {
    OneServer server(std::move(serve));
    return probe(server.port(), limit);
  }

  // Speaks SMTP up to STARTTLS and then TLS.
  static std::function<void(int)> speaks_tls(const Identity& leaf, std::string& heard) {
    return [&leaf, &heard](int fd) {
      say(fd, "220 mx ESMTP\r\n");
      heard += hear(fd);
      say(fd, "250-mx\r\n250-SIZE 1000\r\n250 STARTTLS\r\n");
      heard += hear(fd);
      say(fd, "220 go ahead\r\n");
      SSL_CTX* context = SSL_CTX_new(TLS_server_method());
      SSL_CTX_use_certificate(context, leaf.cert.get());
      SSL_CTX_use_PrivateKey(context, leaf.key.get());
      SSL* ssl = SSL_new(context);
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) == 1) {
        heard += SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        char buffer[64];
        const int got = SSL_read(ssl, buffer, sizeof buffer);
        if (got > 0) {
          heard += " " + std::string(buffer, static_cast<std::size_t>(got));
        }
      }
      SSL_free(ssl);
      SSL_CTX_free(context);
      ERR_clear_error();
    };
  }
  Fact<Smtp> probe_tls(const CertSpec& spec, const Identity* issuer) {
    const Identity leaf = make_identity(spec, issuer);
    std::string heard;
    return probe(speaks_tls(leaf, heard));
  }

  Identity root_ = https::test::make_root("test root");
  std::string ca_file_ = testing::TempDir() + "mtastsd_smtp_" + std::to_string(getpid());
  event::Loop loop_;
};

TEST_F(SmtpProbeTest, DoesWhatASenderDoesAndSendsNothing) {
  const Identity leaf = make_identity({.cn = "x", .dns_names = {kHost}}, &root_);
  std::string heard;
  const auto smtp = probe(speaks_tls(leaf, heard));
  ASSERT_TRUE(smtp.known()) << smtp.why;
  EXPECT_EQ(heard, "EHLO me.test\r\nSTARTTLS\r\nmx.example.com QUIT\r\n");
  EXPECT_TRUE(smtp.value.starttls);
  EXPECT_EQ(smtp.value.tls_version, "TLSv1.3");
  EXPECT_EQ(smtp.value.tls_error, "");
  EXPECT_EQ(smtp.value.address, "127.0.0.1");
  ASSERT_TRUE(smtp.value.certificate);
  EXPECT_TRUE(smtp.value.certificate->good()) << smtp.value.certificate->problem;
}

// RFC 8461 section 4.2. The handshake goes on, so that all there is to say is said.
TEST_F(SmtpProbeTest, JudgesCertificates) {
  const Identity other = https::test::make_root("another root");
  const auto wildcard = probe_tls({.cn = "x", .dns_names = {"*.example.com"}}, &root_);
  EXPECT_TRUE(wildcard.value.certificate->good());
  const auto partial = probe_tls({.cn = "x", .dns_names = {"m*.example.com"}}, &root_);
  EXPECT_FALSE(partial.value.certificate->name_matches);
  const auto cn_only = probe_tls({.cn = kHost}, &root_);
  EXPECT_FALSE(cn_only.value.certificate->name_matches);
  const auto all_wrong =
      probe_tls({.cn = kHost, .dns_names = {"x.example"}, .not_after = -60}, &other);
  ASSERT_TRUE(all_wrong.value.certificate);
  EXPECT_FALSE(all_wrong.value.certificate->chain_trusted);
  EXPECT_FALSE(all_wrong.value.certificate->in_time);
  EXPECT_FALSE(all_wrong.value.certificate->name_matches);
  EXPECT_EQ(all_wrong.value.tls_version, "TLSv1.3");
}

TEST_F(SmtpProbeTest, NoStarttls) {
  const auto smtp = probe([](int fd) {
    say(fd, "220 mx\r\n");
    hear(fd);
    say(fd, "250-mx\r\n250 SIZE\r\n");
    hear(fd);
  });
  ASSERT_TRUE(smtp.known()) << smtp.why;
  EXPECT_FALSE(smtp.value.starttls);
  const auto old = probe([](int fd) {
    say(fd, "220 mx\r\n");
    hear(fd);
    say(fd, "502 no EHLO here\r\n");
  });
  EXPECT_TRUE(old.known() && !old.value.starttls);
}

TEST_F(SmtpProbeTest, StarttlsThatFails) {
  const auto refused = probe([](int fd) {
    say(fd, "220 mx\r\n");
    hear(fd);
    say(fd, "250-mx\r\n250 STARTTLS\r\n");
    hear(fd);
    say(fd, "454 not now\r\n");
  });
  ASSERT_TRUE(refused.known());
  EXPECT_EQ(refused.value.tls_error, "STARTTLS was answered with 454 not now");
  for (const std::string& rubbish : {std::string("rubbish\r\n"), std::string()}) {
    const auto broken = probe([&](int fd) {
      say(fd, "220 mx\r\n");
      hear(fd);
      say(fd, "250-mx\r\n250 STARTTLS\r\n");
      hear(fd);
      say(fd, "220 go\r\n");
      hear(fd);
      say(fd, rubbish);
    });
    ASSERT_TRUE(broken.known());
    EXPECT_FALSE(broken.value.tls_error.empty());
    EXPECT_FALSE(broken.value.certificate);
  }
}

// Nothing of this says that there is no STARTTLS.
TEST_F(SmtpProbeTest, CannotTell) {
  struct Row {
    std::string why;
    std::function<void(int)> serve;
  };
  const std::vector<Row> rows = {
      {"greeted with 554 go away", [](int fd) { say(fd, "554 go away\r\n"); }},
      {"closed the connection", [](int) {}},
      {"not SMTP", [](int fd) { say(fd, "hello\r\n"); }},
      {"too long", [](int fd) { say(fd, std::string(5000, 'x')); }},
      {"timeout: no reply", [](int fd) { hear(fd); }},
      {"EHLO was answered with 421 later",
       [](int fd) {
         say(fd, "220 mx\r\n");
         hear(fd);
         say(fd, "421 later\r\n");
       }},
      // RFC 3207 section 4.2: somebody else may have put it in.
      {"more than was asked",
       [](int fd) {
         say(fd, "220 mx\r\n");
         hear(fd);
         say(fd, "250-mx\r\n250 STARTTLS\r\n");
         hear(fd);
         say(fd, "220 go\r\n250 injected\r\n");
       }},
  };
  for (const Row& row : rows) {
    const auto smtp = probe(row.serve, Milliseconds(700));
    EXPECT_TRUE(smtp.cannot_tell());
    EXPECT_NE(smtp.why.find(row.why), std::string::npos) << smtp.why;
    EXPECT_NE(smtp.why.find("127.0.0.1"), std::string::npos) << smtp.why;
  }
}

TEST_F(SmtpProbeTest, NobodyThere) {
  const auto smtp = probe(1);
  EXPECT_TRUE(smtp.cannot_tell());
  EXPECT_EQ(smtp.why, "no connection to 127.0.0.1 (Connection refused)");
}

TEST_F(SmtpProbeTest, SilenceInTheHandshakeEnds) {
  const auto smtp = probe(
      [](int fd) {
        say(fd, "220 mx\r\n");
        hear(fd);
        say(fd, "250-mx\r\n250 STARTTLS\r\n");
        hear(fd);
        say(fd, "220 go\r\n");
        while (!hear(fd).empty()) {
        }
      },
      Milliseconds(700));
  ASSERT_TRUE(smtp.known());
  EXPECT_EQ(smtp.value.tls_error, "timeout");
}

TEST_F(SmtpProbeTest, DroppingItCancels) {
  const TrustStore trusted(ca_file_);
  OneServer server([](int fd) { hear(fd); });
  auto running = std::make_unique<SmtpProbe>(
      loop_, trusted,
      SmtpTarget{*DomainName::parse(kHost), {*IpAddress::parse("127.0.0.1")}, server.port(), "me"},
      Milliseconds(5000), [](const Fact<Smtp>&) { FAIL(); });
  auto drop = loop_.make_timer([&] { running.reset(); });
  drop->arm(Milliseconds(50));
  auto end = loop_.make_timer([&] { loop_.stop(); });
  end->arm(Milliseconds(150));
  loop_.run();
}

}  // namespace
}  // namespace mtastsd::check
