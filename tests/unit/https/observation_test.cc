#include "mtastsd/https/observation.h"

#include <curl/curl.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connect.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/https/curl_fetcher.h"
#include "mtastsd/log/log.h"
#include "tls_server.h"

namespace mtastsd::https {
namespace {

using test::CertSpec;
using test::Connection;
using test::Identity;
using test::make_identity;
using test::Script;
using test::TlsServer;

constexpr char kHost[] = "mta-sts.example.com";

Script answers(std::string head, std::string body = "hello") {
  return [=](Connection& c) {
    c.send(head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
}
Script good() {
  return answers("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n");
}

class ObservationTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
  }
  static void TearDownTestSuite() { curl_global_cleanup(); }

  void SetUp() override { test::write_pem(ca_file_, root_.cert.get()); }
  void TearDown() override { std::remove(ca_file_.c_str()); }

  FetchResult observe(const CertSpec& spec, const Identity* issuer, Script script,
                      TlsServer::Options options = {}) {
    const Identity leaf = make_identity(spec, issuer);
    TlsServer server(leaf, std::move(script), std::move(options));
    const auto fetcher =
        make_curl_fetcher(loop_, log_, CurlOptions{ca_file_, server.port(), "", true});
    std::optional<FetchResult> got;
    const Handle handle = fetcher->fetch(*DomainName::parse(kHost), test::connect_to(server.port()),
                                         {.total = Milliseconds(10000)}, [&](FetchResult result) {
                                           got = std::move(result);
                                           loop_.stop();
                                         });
    EXPECT_FALSE(got);
    loop_.run();
    return *std::move(got);
  }
  Certificate certificate(const CertSpec& spec, const Identity* issuer) {
    auto got = observe(spec, issuer, good());
    EXPECT_EQ(got.has_value(), got.seen.certificate->good());
    EXPECT_FALSE(got.seen.tls_version.empty());
    return got.seen.certificate.value_or(Certificate{});
  }

  Identity root_ = test::make_root("test root");
  Identity other_root_ = test::make_root("another root");
  std::string ca_file_ = testing::TempDir() + "mtastsd_observed_" + std::to_string(getpid());
  Log log_ = Log::null();
  event::Loop loop_;
};

TEST_F(ObservationTest, OfAGoodFetch) {
  const auto got = observe({.cn = "cn", .dns_names = {kHost, "b.example"}}, &root_, good());
  ASSERT_TRUE(got);
  EXPECT_EQ(got.seen.address, "127.0.0.1");
  EXPECT_EQ(got.seen.tls_version, "TLSv1.3");
  EXPECT_EQ(got.seen.status, 200);
  EXPECT_EQ(got.seen.media_type, "text/plain; charset=utf-8");
  EXPECT_EQ(got.seen.body_size, 5U);
  EXPECT_GT(got.seen.took, Milliseconds(0));
  ASSERT_TRUE(got.seen.certificate);
  EXPECT_TRUE(got.seen.certificate->good());
  EXPECT_EQ(got.seen.certificate->problem, "");
  EXPECT_EQ(got.seen.certificate->subject, "cn");
  EXPECT_EQ(got.seen.certificate->issuer, "test root");
  EXPECT_EQ(got.seen.certificate->names, (std::vector<std::string>{kHost, "b.example"}));
  const auto life = got.seen.certificate->not_after - got.seen.certificate->not_before;
  EXPECT_EQ(life, Seconds(86400 + 3600));
}

// Each fault by itself, and all of them at once: OpenSSL alone stops at the first.
TEST_F(ObservationTest, OfCertificates) {  // RFC 8461 section 3.3
  const auto expect = [](const Certificate& c, bool trusted, bool in_time, bool name) {
    EXPECT_EQ(c.chain_trusted, trusted) << c.problem;
    EXPECT_EQ(c.in_time, in_time) << c.problem;
    EXPECT_EQ(c.name_matches, name) << c.problem;
    EXPECT_FALSE(c.problem.empty());
  };
  expect(certificate({.cn = kHost, .dns_names = {kHost}}, &other_root_), false, true, true);
  expect(certificate({.cn = kHost, .dns_names = {kHost}}, nullptr), false, true, true);
  expect(certificate({.cn = kHost, .dns_names = {kHost}, .not_after = -60}, &root_), true, false,
         true);
  expect(certificate({.cn = kHost, .dns_names = {"example.com"}}, &root_), true, true, false);
  expect(certificate({.cn = kHost}, &root_), true, true, false);
  expect(certificate({.cn = kHost, .dns_names = {"x.example"}, .not_after = -60}, &other_root_),
         false, false, false);
}

TEST_F(ObservationTest, OfRefusedResponses) {
  const CertSpec spec{.cn = kHost, .dns_names = {kHost}};
  const auto moved =
      observe(spec, &root_, answers("HTTP/1.1 302 Found\r\nLocation: https://a.example/\r\n"));
  EXPECT_FALSE(moved);
  EXPECT_EQ(moved.seen.status, 302);
  EXPECT_EQ(moved.seen.location, "https://a.example/");
  const auto html =
      observe(spec, &root_, answers("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"));
  EXPECT_FALSE(html);
  EXPECT_EQ(html.seen.status, 200);
  EXPECT_EQ(html.seen.media_type, "text/html");
  EXPECT_TRUE(html.seen.certificate && html.seen.certificate->good());
}

TEST_F(ObservationTest, WithoutTls) {
  const CertSpec spec{.cn = kHost, .dns_names = {kHost}};
  const auto plain = observe(spec, &root_, good(), {.plain_text = true});
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().kind, ErrorKind::Tls);
  EXPECT_EQ(plain.seen.tls_version, "");
  EXPECT_FALSE(plain.seen.certificate);
  EXPECT_EQ(plain.seen.status, 0);
}

TEST_F(ObservationTest, CanBeCancelled) {
  const Identity leaf = make_identity({.cn = kHost, .dns_names = {kHost}}, &root_);
  TlsServer server(leaf, good());
  const auto fetcher =
      make_curl_fetcher(loop_, log_, CurlOptions{ca_file_, server.port(), "", true});
  Handle handle =
      fetcher->fetch(*DomainName::parse(kHost), test::connect_to(server.port()),
                     {.total = Milliseconds(10000)}, [](const FetchResult&) { FAIL(); });
  auto drop = loop_.make_timer([&] { handle.reset(); });
  drop->arm(Milliseconds(1));
  auto end = loop_.make_timer([&] { loop_.stop(); });
  end->arm(Milliseconds(200));
  loop_.run();
}

}  // namespace
}  // namespace mtastsd::https
