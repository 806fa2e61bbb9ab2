#include "mtastsd/https/curl_fetcher.h"

#include <curl/curl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>

#include "connect.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "tls_server.h"

namespace mtastsd::https {
namespace {

using std::chrono::steady_clock;
using test::CertSpec;
using test::Connection;
using test::Identity;
using test::make_identity;
using test::Script;
using test::TlsServer;

constexpr char kHost[] = "mta-sts.example.com";
constexpr FetchLimits kLimits{.total = Milliseconds(10000)};
constexpr int kTicketsInFlood = 40000;
constexpr Milliseconds kOneTurn{40};  // of the loop, in CPU time; all these tickets take more
const std::string kPolicy =
    "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmax_age: 604800\r\n";

std::string response(const std::string& body, const std::string& more = "") {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n" + more +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::chrono::nanoseconds thread_cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Script says(std::string text) {
  return [text = std::move(text)](Connection& c) { c.send(text); };
}

class CurlFetcherTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's sockets in the test's server raise it
    curl_global_init(CURL_GLOBAL_DEFAULT);
    root_ = new Identity(test::make_root("test root"));
    other_root_ = new Identity(test::make_root("another root"));
    ca_file_ = new std::string(testing::TempDir() + "mtastsd_ca_" + std::to_string(getpid()));
    test::write_pem(*ca_file_, root_->cert.get());
    good_ = new Identity(make_identity({.cn = kHost, .dns_names = {kHost}}, root_));
  }
  static void TearDownTestSuite() {
    std::remove(ca_file_->c_str());
    delete root_;
    delete other_root_;
    delete good_;
    delete ca_file_;
    curl_global_cleanup();
  }

  PolicyFetcher& fetcher(std::uint16_t port, std::string proxy = "") {
    port_ = port;
    fetcher_ = make_curl_fetcher(loop_, log_, CurlOptions{*ca_file_, port, std::move(proxy)});
    return *fetcher_;
  }

  // A fetch over a connection to the server of fetcher().
  Handle start(std::function<void(FetchResult)> callback, FetchLimits limits = kLimits,
               const char* host = kHost) {
    https::Connection connection;
    if (!fetcher_->uses_proxy()) {
      connection = test::connect_to(port_);
    }
    return fetcher_->fetch(*DomainName::parse(host), std::move(connection), limits,
                           std::move(callback));
  }

  FetchResult fetch(const char* host = kHost, FetchLimits limits = kLimits) {
    std::optional<FetchResult> result;
    const Handle handle = start(
        [&](FetchResult got) {
          result = std::move(got);
          loop_.stop();
        },
        limits, host);
    EXPECT_FALSE(result) << "called back before the start had returned";
    run();
    if (!result) {
      ADD_FAILURE() << "no result";
      return failure(Error{});
    }
    return *std::move(result);
  }

  // One fetch from a server of its own.
  FetchResult fetch_from(const Identity& leaf, Script script, TlsServer::Options options = {},
                         const char* host = kHost) {
    TlsServer server(leaf, std::move(script), std::move(options));
    fetcher(server.port());
    auto result = fetch(host);
    fetcher_.reset();
    return result;
  }
  FetchResult fetch_from(Script script) { return fetch_from(*good_, std::move(script)); }
  FetchResult fetch_with(const CertSpec& spec, const char* host = kHost) {
    return fetch_from(make_identity(spec, root_), says(response(kPolicy)), {}, host);
  }

  void run(Milliseconds limit = Milliseconds(30000)) {
    auto timer = loop_.make_timer([&] { loop_.stop(); });
    timer->arm(limit);
    loop_.run();
  }

  static std::string body(const FetchResult& result) {
    return result ? result->body : "error: " + result.error().detail;
  }
  static ErrorKind error(const FetchResult& result) {
    EXPECT_FALSE(result) << "a policy was taken";
    if (result) {
      return ErrorKind::Connect;
    }
    EXPECT_FALSE(result.error().detail.empty());
    return result.error().kind;
  }

  static Identity* root_;
  static Identity* other_root_;
  static Identity* good_;
  static std::string* ca_file_;
  Log log_ = Log::null();
  event::Loop loop_;
  std::unique_ptr<PolicyFetcher> fetcher_;
  std::uint16_t port_ = 0;  // of the server of fetcher_
};

Identity* CurlFetcherTest::root_;
Identity* CurlFetcherTest::other_root_;
Identity* CurlFetcherTest::good_;
std::string* CurlFetcherTest::ca_file_;

TEST_F(CurlFetcherTest, GetsThePolicyFromTheWellKnownPath) {  // RFC 8461 section 3.3
  std::string request;
  std::string sni;
  TlsServer server(*good_, [&](Connection& c) {
    request = c.request();
    sni = c.sni();
    c.send(response(kPolicy));
  });
  fetcher(server.port());
  EXPECT_EQ(body(fetch()), kPolicy);
  EXPECT_TRUE(request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n")) << request;
  EXPECT_NE(request.find("\r\nHost: mta-sts.example.com"), std::string::npos);
  EXPECT_NE(request.find("\r\nUser-Agent: mtastsd/"), std::string::npos);
  EXPECT_NE(request.find("\r\nAccept: text/plain\r\n"), std::string::npos);
  EXPECT_EQ(request.find("Accept-Encoding"), std::string::npos);
  EXPECT_EQ(request.find("Cookie"), std::string::npos);
  EXPECT_EQ(request.find("Authorization"), std::string::npos);
  EXPECT_EQ(sni, kHost);  // RFC 8461 section 7.1
}

// Certificates: RFC 8461 section 3.3.

TEST_F(CurlFetcherTest, CertificateOfAnUnknownRootIsRefused) {
  const auto leaf = make_identity({.cn = kHost, .dns_names = {kHost}}, other_root_);
  const auto result = fetch_from(leaf, says(response(kPolicy)));
  EXPECT_EQ(error(result), ErrorKind::Certificate);
  EXPECT_NE(result.error().detail.find(kHost), std::string::npos) << result.error().detail;
}

TEST_F(CurlFetcherTest, SelfSignedCertificateIsRefused) {
  const auto leaf = make_identity({.cn = kHost, .dns_names = {kHost}}, nullptr);
  EXPECT_EQ(error(fetch_from(leaf, says(response(kPolicy)))), ErrorKind::Certificate);
}

TEST_F(CurlFetcherTest, ExpiredAndFutureCertificatesAreRefused) {
  const auto expired =
      fetch_with({.cn = kHost, .dns_names = {kHost}, .not_before = -9000, .not_after = -3600});
  EXPECT_EQ(error(expired), ErrorKind::Certificate);
  EXPECT_NE(expired.error().detail.find("expired"), std::string::npos) << expired.error().detail;
  EXPECT_EQ(error(fetch_with({.cn = kHost, .dns_names = {kHost}, .not_before = 3600})),
            ErrorKind::Certificate);
}

TEST_F(CurlFetcherTest, CommonNameAloneIsRefused) {
  const auto result = fetch_with({.cn = kHost});
  EXPECT_EQ(error(result), ErrorKind::Certificate);
  EXPECT_EQ(error(fetch_with({.cn = kHost, .dns_names = {"other.example"}})),
            ErrorKind::Certificate);
}

TEST_F(CurlFetcherTest, SubjectDoesNotMatterWhenTheDnsIdIsRight) {
  EXPECT_EQ(body(fetch_with({.cn = "else.example", .dns_names = {kHost}})), kPolicy);
  EXPECT_EQ(body(fetch_with({.dns_names = {"a.example", "MTA-STS.Example.COM"}})), kPolicy);
}

TEST_F(CurlFetcherTest, WildcardStandsForExactlyOneWholeLabel) {
  EXPECT_EQ(body(fetch_with({.dns_names = {"*.example.com"}})), kPolicy);
  for (const char* name :
       {"mta-*.example.com", "*-sts.example.com", "m*s.example.com", "*.com", "*", "mta-sts.*.com",
        "*.*.com", "*example.com", "example.com", "mta-sts.example.com.evil.example"}) {
    EXPECT_EQ(error(fetch_with({.dns_names = {name}})), ErrorKind::Certificate) << name;
  }
  EXPECT_EQ(error(fetch_with({.dns_names = {"*.example.com"}}, "mta-sts.sub.example.com")),
            ErrorKind::Certificate);
}

TEST_F(CurlFetcherTest, ZeroByteInADnsIdIsRefused) {
  const std::string name = std::string(kHost) + '\0' + ".evil.example";
  EXPECT_EQ(error(fetch_with({.dns_names = {name}})), ErrorKind::Certificate);
}

TEST_F(CurlFetcherTest, CertificateForClientsOnlyIsRefused) {
  EXPECT_EQ(error(fetch_with({.dns_names = {kHost}, .extended_usage = "clientAuth"})),
            ErrorKind::Certificate);
}

TEST_F(CurlFetcherTest, Sha1SignatureIsRefused) {  // RFC 8461 section 7.2
  const auto result = fetch_with({.dns_names = {kHost}, .sha1 = true});
  EXPECT_FALSE(result);
}

TEST_F(CurlFetcherTest, ChainOverAnIntermediateMustBeCompleteAndWithinItsConstraints) {
  const auto intermediate = make_identity({.cn = "intermediate", .is_ca = true}, root_);
  const auto leaf = make_identity({.dns_names = {kHost}}, &intermediate);
  EXPECT_EQ(body(fetch_from(leaf, says(response(kPolicy)), {.chain_rest = {&intermediate}})),
            kPolicy);
  EXPECT_EQ(body(fetch_from(leaf, says(response(kPolicy)),
                            {.chain_rest = {&intermediate, root_, other_root_}})),
            kPolicy);
  EXPECT_EQ(error(fetch_from(leaf, says(response(kPolicy)))), ErrorKind::Certificate);

  const auto constrained = make_identity(
      {.cn = "constrained", .is_ca = true, .name_constraints = "permitted;DNS:example.net"}, root_);
  const auto outside = make_identity({.dns_names = {kHost}}, &constrained);
  EXPECT_EQ(error(fetch_from(outside, says(response(kPolicy)), {.chain_rest = {&constrained}})),
            ErrorKind::Certificate);

  const auto last = make_identity(
      {.cn = "last", .is_ca = true, .basic_constraints = "critical,CA:TRUE,pathlen:0"}, root_);
  const auto below = make_identity({.cn = "below", .is_ca = true}, &last);
  const auto too_deep = make_identity({.dns_names = {kHost}}, &below);
  EXPECT_EQ(error(fetch_from(too_deep, says(response(kPolicy)), {.chain_rest = {&below, &last}})),
            ErrorKind::Certificate);
}

// TLS.

TEST_F(CurlFetcherTest, TlsBelowVersion12IsRefused) {  // RFC 8461 section 7.2
  EXPECT_EQ(error(fetch_from(*good_, says(response(kPolicy)), {.max_version = TLS1_1_VERSION})),
            ErrorKind::Tls);
  EXPECT_EQ(body(fetch_from(*good_, says(response(kPolicy)), {.max_version = TLS1_2_VERSION})),
            kPolicy);
}

TEST_F(CurlFetcherTest, ServerWithoutTlsIsATlsError) {
  EXPECT_EQ(error(fetch_from(*good_, {}, {.plain_text = true})), ErrorKind::Tls);
  EXPECT_EQ(error(fetch_from(*good_, {}, {.hang_up_early = true})), ErrorKind::Tls);
}

TEST_F(CurlFetcherTest, ProtocolThatWasNotOfferedIsRefused) {  // RFC 7301 section 3.2
  EXPECT_EQ(error(fetch_from(*good_, says(response(kPolicy)), {.alpn = "foo/1"})), ErrorKind::Tls);
  EXPECT_EQ(error(fetch_from(*good_, says(response(kPolicy)), {.alpn = "h2"})), ErrorKind::Tls);
  EXPECT_EQ(body(fetch_from(*good_, says(response(kPolicy)), {.alpn = "http/1.1"})), kPolicy);
}

// The response.

TEST_F(CurlFetcherTest, OnlyStatus200AndNoRedirectIsFollowed) {  // RFC 8461 section 3.3
  TlsServer server(*good_, says("HTTP/1.1 302 Found\r\nContent-Type: text/plain\r\n"
                                "Location: /policy.txt\r\nContent-Length: 0\r\n\r\n"));
  fetcher(server.port());
  EXPECT_EQ(error(fetch()), ErrorKind::Status);
  EXPECT_EQ(server.requests(), 1);
  for (const char* status : {"202 Accepted", "204 No Content", "404 Not Found", "503 Busy"}) {
    EXPECT_EQ(error(fetch_from(says(std::string("HTTP/1.1 ") + status +
                                    "\r\nContent-Type: text/plain\r\nContent-Length: 84\r\n\r\n" +
                                    kPolicy))),
              ErrorKind::Status)
        << status;
  }
}

TEST_F(CurlFetcherTest, OnlyTextPlain) {
  EXPECT_EQ(error(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + kPolicy))),
            ErrorKind::MediaType);
}

TEST_F(CurlFetcherTest, WhatIsNotHttpIsAProtocolError) {
  EXPECT_EQ(error(fetch_from(says(kPolicy))), ErrorKind::Protocol);  // HTTP/0.9
  EXPECT_EQ(error(fetch_from(says("HTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + kPolicy))),
            ErrorKind::Protocol);
  EXPECT_EQ(
      error(fetch_from(says("HTTP/1.1 1000 X\r\nContent-Type: text/plain\r\n\r\n" + kPolicy))),
      ErrorKind::Protocol);
  EXPECT_EQ(error(fetch_from([](Connection&) {})), ErrorKind::Protocol);
}

TEST_F(CurlFetcherTest, LineEndsOfLfAloneAreTaken) {  // RFC 9112 section 2.2
  EXPECT_EQ(
      body(fetch_from(says("HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 1\n\nx"))),
      "x");
}

TEST_F(CurlFetcherTest, InterimResponsesAreSkipped) {  // RFC 9110 section 15.2
  EXPECT_EQ(body(fetch_from(says("HTTP/1.1 100 Continue\r\n\r\n"
                                 "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" +
                                 response(kPolicy)))),
            kPolicy);
}

TEST_F(CurlFetcherTest, BodyEndingWithTheConnectionNeedsCloseNotify) {  // RFC 9112 section 9.8
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
  EXPECT_EQ(body(fetch_from(says(head + kPolicy))), kPolicy);
  EXPECT_EQ(body(fetch_from(says("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + kPolicy))),
            kPolicy);
  EXPECT_EQ(error(fetch_from([&](Connection& c) {
              c.send(head + kPolicy);
              c.close_without_notify();
            })),
            ErrorKind::Protocol);
}

TEST_F(CurlFetcherTest, BodyOfTheAnnouncedLengthNeedsNoCloseNotify) {
  EXPECT_EQ(body(fetch_from([&](Connection& c) {
              c.send(response(kPolicy));
              c.close_without_notify();
            })),
            kPolicy);
}

TEST_F(CurlFetcherTest, BodyCutShortIsAnError) {  // RFC 9112 section 8
  EXPECT_EQ(error(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                  "Content-Length: 200\r\n\r\n" +
                                  kPolicy))),
            ErrorKind::Protocol);
  EXPECT_EQ(error(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n4\r\nvers\r\n"))),
            ErrorKind::Protocol);
  EXPECT_EQ(error(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\nzz\r\nvers\r\n"))),
            ErrorKind::Protocol);
}

TEST_F(CurlFetcherTest, ChunkedBodyIsPutTogether) {
  EXPECT_EQ(body(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n"
                                 "4\r\nvers\r\n3\r\nion\r\n0\r\nX-Trailer: text/html\r\n\r\n"))),
            "version");
}

TEST_F(CurlFetcherTest, ContradictoryLengthsAreRefused) {  // RFC 9112 section 6.3
  EXPECT_EQ(error(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                  "Content-Length: 84\r\nContent-Length: 40\r\n\r\n" +
                                  kPolicy))),
            ErrorKind::Protocol);
  EXPECT_FALSE(
      fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                      "Content-Length: 99999999999999999999\r\n\r\n" +
                      kPolicy)));
}

TEST_F(CurlFetcherTest, FieldsOfInterimResponsesAndTrailersDoNotCount) {
  EXPECT_EQ(error(fetch_from(says("HTTP/1.1 103 Early Hints\r\nContent-Type: text/plain\r\n\r\n"
                                  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))),
            ErrorKind::MediaType);
  EXPECT_EQ(body(fetch_from(says("HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\n\r\n" +
                                 response(kPolicy)))),
            kPolicy);
  EXPECT_EQ(body(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n"
                                 "1\r\nx\r\n0\r\nContent-Type: text/html\r\n\r\n"))),
            "x");
}

TEST_F(CurlFetcherTest, EveryFieldOfANameCounts) {
  EXPECT_EQ(error(fetch_from(says(response(kPolicy, "Content-Type: text/html\r\n")))),
            ErrorKind::MediaType);
  EXPECT_EQ(error(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                  "\t, text/html\r\nContent-Length: 1\r\n\r\nx"))),
            ErrorKind::MediaType);
}

TEST_F(CurlFetcherTest, FoldedFieldIsTaken) {
  EXPECT_EQ(body(fetch_from(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain;\r\n"
                                 " charset=utf-8\r\nContent-Length: " +
                                 std::to_string(kPolicy.size()) + "\r\n\r\n" + kPolicy))),
            kPolicy);
}

TEST_F(CurlFetcherTest, CodedBodyIsRefused) {
  EXPECT_EQ(error(fetch_from(says(response(kPolicy, "Content-Encoding: gzip\r\n")))),
            ErrorKind::Protocol);
}

TEST_F(CurlFetcherTest, BodyOf64KiBIsTakenAndOneByteMoreIsNot) {  // RFC 8461 section 3.3
  const std::string most(65536, 'a');
  EXPECT_EQ(body(fetch_from(says(response(most)))), most);
  EXPECT_EQ(error(fetch_from(says(response(most + "a")))), ErrorKind::TooLarge);
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
  EXPECT_EQ(body(fetch_from(says(head + most))), most);
  EXPECT_EQ(error(fetch_from(says(head + most + "a"))), ErrorKind::TooLarge);
}

TEST_F(CurlFetcherTest, EndlessBodyIsCutOff) {
  const auto start = steady_clock::now();
  EXPECT_EQ(error(fetch_from([](Connection& c) {
              c.send(
                  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
              const std::string chunk = "400\r\n" + std::string(1024, 'a') + "\r\n";
              while (c.send(chunk)) {
              }
            })),
            ErrorKind::TooLarge);
  EXPECT_LT(steady_clock::now() - start, Milliseconds(5000));
}

TEST_F(CurlFetcherTest, HeadersAreBounded) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
  std::string fifty = head;
  for (int i = 0; i < 50; ++i) {
    fifty += "X-Field-" + std::to_string(i) + ": value\r\n";
  }
  EXPECT_EQ(body(fetch_from(says(fifty + "Content-Length: 1\r\n\r\nx"))), "x");
  EXPECT_EQ(error(fetch_from(says(head + "X-Pad: " + std::string(1 << 20, 'x') + "\r\n\r\n"))),
            ErrorKind::TooLarge);
  EXPECT_EQ(error(fetch_from([&](Connection& c) {
              c.send(head);
              while (c.send("X-Field: value\r\n")) {
              }
            })),
            ErrorKind::TooLarge);
  EXPECT_EQ(error(fetch_from([&](Connection& c) {
              while (c.send("HTTP/1.1 100 Continue\r\n\r\n")) {
              }
            })),
            ErrorKind::TooLarge);
}

// Whatever is received counts.

TEST_F(CurlFetcherTest, WhatIsReceivedIsBoundedWhateverItMeans) {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto endless = [&](const std::string& head, const std::string& text) {
    std::size_t sent = 0;
    const auto result = fetch_from([&](Connection& c) {
      c.send(head);
      while (c.send(text)) {
        sent += text.size();
      }
    });
    EXPECT_EQ(error(result), ErrorKind::TooLarge);
    // Besides what was read there is what the kernel keeps for the two of them.
    EXPECT_LT(sent, std::size_t{16} << 20);
    return result ? "" : result.error().detail;
  };
  const std::string in_all = "more than 524288 bytes came in all";
  EXPECT_EQ(endless(chunked + "1;", std::string(10000, 'x')), in_all);  // an extension
  EXPECT_EQ(endless(chunked, "1;" + std::string(10000, 'x') + "\r\nx\r\n"), in_all);  // many
  EXPECT_NE(endless(chunked + "0\r\n", "X-Trailer: " + std::string(1000, 'x') + "\r\n"), "");
  EXPECT_NE(endless("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), "");
}

// Time and addresses.

TEST_F(CurlFetcherTest, TheLimitIsForAllOfItHoweverTheBytesDrip) {  // RFC 8461 section 3.3
  TlsServer server(*good_, [](Connection& c) {
    c.send("HTTP/1.1 200 OK\r\nX-Drip: ");
    while (c.send("x") && c.wait(Milliseconds(50))) {
    }
  });
  fetcher(server.port());
  const auto start = steady_clock::now();
  EXPECT_EQ(error(fetch(kHost, {.total = Milliseconds(400)})), ErrorKind::Timeout);
  EXPECT_LT(steady_clock::now() - start, Milliseconds(5000));
}

TEST_F(CurlFetcherTest, TlsMessagesThatFloodInDoNotHoldTheLoop) {
  TlsServer server(*good_, [](Connection& c) {
    c.flood_with_tickets(kTicketsInFlood);
    c.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  });
  fetcher(server.port());
  auto last = thread_cpu_time();
  std::chrono::nanoseconds longest{0};
  std::unique_ptr<event::Timer> beat = loop_.make_timer([&] {
    const auto now = thread_cpu_time();
    longest = std::max(longest, now - last);
    last = now;
    beat->arm(Milliseconds(1));
  });
  beat->arm(Milliseconds(1));
  EXPECT_EQ(error(fetch(kHost, {.total = Milliseconds(60000)})), ErrorKind::TooLarge);
  EXPECT_LT(longest, kOneTurn);
}

TEST_F(CurlFetcherTest, WithoutAConnectionItIsAConnectError) {
  fetcher(443);
  std::optional<FetchResult> result;
  const Handle handle =
      fetcher_->fetch(*DomainName::parse(kHost), {}, kLimits, [&](FetchResult got) {
        result = std::move(got);
        loop_.stop();
      });
  EXPECT_FALSE(result);
  run();
  ASSERT_TRUE(result);
  EXPECT_EQ(error(*result), ErrorKind::Connect);
}

TEST_F(CurlFetcherTest, AFetchThatStallsEnds) {
  const FetchLimits limits{.total = Milliseconds(20000), .stall = Milliseconds(1000)};
  const auto ends = [&](Script script, TlsServer::Options options = {}) {
    TlsServer server(*good_, std::move(script), std::move(options));
    fetcher(server.port());
    const auto start = steady_clock::now();
    EXPECT_EQ(error(fetch(kHost, limits)), ErrorKind::Timeout);
    EXPECT_GE(steady_clock::now() - start, Milliseconds(1000));
    EXPECT_LT(steady_clock::now() - start, Milliseconds(5000));
  };
  ends({}, {.silent = true});  // no handshake
  ends([](Connection& c) { c.wait(Milliseconds(10000)); });
  ends([](Connection& c) {  // records of 23 bytes, two a second
    c.send("HTTP/1.1 200 OK\r\nX-Drip: ");
    while (c.send("x") && c.wait(Milliseconds(500))) {
    }
  });
}

TEST_F(CurlFetcherTest, AFetchThatIsSlowButMakesProgressGoesOn) {
  TlsServer server(*good_, [](Connection& c) {
    c.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 300\r\n\r\n");
    for (int i = 0; i < 30; ++i) {
      c.send("0123456789");
      c.wait(Milliseconds(100));
    }
  });
  fetcher(server.port());
  const auto start = steady_clock::now();
  EXPECT_EQ(body(fetch(kHost, {.total = Milliseconds(20000), .stall = Milliseconds(1000)})).size(),
            300U);
  EXPECT_GT(steady_clock::now() - start, Milliseconds(2500));
}

// The connection is the caller's until curl has taken it, and is closed exactly once.
TEST_F(CurlFetcherTest, TheSocketIsClosedWhoeverHasIt) {
  TlsServer server(*good_, [](Connection& c) { c.wait(Milliseconds(20000)); });
  fetcher(server.port());
  for (const int after_ms : {0, 1, 30}) {
    https::Connection connection = test::connect_to(server.port());
    const int fd = connection.socket.get();
    Handle handle = fetcher_->fetch(*DomainName::parse(kHost), std::move(connection), kLimits,
                                    [](FetchResult) { FAIL() << "called back"; });
    if (after_ms > 0) {
      run(Milliseconds(after_ms));
    }
    EXPECT_NE(fcntl(fd, F_GETFD), -1);
    handle.reset();
    run(Milliseconds(100));
    EXPECT_EQ(fcntl(fd, F_GETFD), -1) << "still open after a cancel at " << after_ms << " ms";
  }
}

TEST_F(CurlFetcherTest, EachFetchIsAConnectionOfItsOwn) {
  TlsServer server(*good_, [](Connection& c) {
    c.send(response(kPolicy));
    c.wait(Milliseconds(50));
  });
  fetcher(server.port());
  EXPECT_TRUE(fetch());
  EXPECT_TRUE(fetch());
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(CurlFetcherTest, EnvironmentsProxyIsNotUsed) {
  setenv("https_proxy", "http://127.0.0.9:1", 1);
  setenv("ALL_PROXY", "http://127.0.0.9:1", 1);
  EXPECT_EQ(body(fetch_from(says(response(kPolicy)))), kPolicy);
  unsetenv("https_proxy");
  unsetenv("ALL_PROXY");
}

TEST_F(CurlFetcherTest, ConfiguredProxyIsAskedWithoutAConnection) {
  TlsServer nobody(*good_, {}, {.plain_text = true});
  fetcher(443, "http://127.0.0.1:" + std::to_string(nobody.port()));
  EXPECT_TRUE(fetcher_->uses_proxy());
  EXPECT_FALSE(fetch(kHost, {.total = Milliseconds(2000)}));
  EXPECT_EQ(nobody.connections(), 1);
}

// Authorities.

TEST_F(CurlFetcherTest, AChangedCaFileCountsAtOnce) {
  const std::string path = testing::TempDir() + "mtastsd_changing_" + std::to_string(getpid());
  std::remove(path.c_str());
  TlsServer server(*good_, says(response(kPolicy)));
  port_ = server.port();
  fetcher_ = make_curl_fetcher(loop_, log_, CurlOptions{path, port_});
  auto result = fetch();
  EXPECT_EQ(error(result), ErrorKind::Tls);
  EXPECT_EQ(result.error().detail, "cannot read " + path + ": No such file or directory");

  test::write_pem(path, other_root_->cert.get());
  EXPECT_EQ(error(fetch()), ErrorKind::Certificate);
  test::write_pem(path, root_->cert.get());
  EXPECT_EQ(body(fetch()), kPolicy);
  // What was read last stays in use while the file is of no use.
  std::remove(path.c_str());
  EXPECT_EQ(body(fetch()), kPolicy);
  std::fclose(std::fopen(path.c_str(), "w"));
  EXPECT_EQ(body(fetch()), kPolicy);
  std::remove(path.c_str());
}

TEST_F(CurlFetcherTest, AnIntermediateCertificateInTheCaFileIsNoAnchor) {
  const std::string path = testing::TempDir() + "mtastsd_middle_" + std::to_string(getpid());
  const Identity middle = make_identity({.cn = "middle", .is_ca = true}, root_);
  const Identity leaf = make_identity({.dns_names = {kHost}}, &middle);
  test::write_pem(path, middle.cert.get());
  for (const bool sends_chain : {false, true}) {
    TlsServer::Options options;
    if (sends_chain) {
      options.chain_rest = {&middle};
    }
    TlsServer server(leaf, says(response(kPolicy)), options);
    port_ = server.port();
    fetcher_ = make_curl_fetcher(loop_, log_, CurlOptions{path, port_});
    EXPECT_EQ(error(fetch()), ErrorKind::Certificate);
    fetcher_.reset();
  }
  std::remove(path.c_str());
}

// What a handshake may cost.

TEST_F(CurlFetcherTest, OldButHonestServersAreUnderstood) {
  const test::KeyPtr key = test::make_rsa_key(2048);
  const auto leaf = make_identity({.dns_names = {kHost}, .key = key.get()}, root_);
  for (const char* ciphers :
       {"AES128-SHA", "AES256-SHA256", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"}) {
    EXPECT_EQ(body(fetch_from(leaf, says(response(kPolicy)), {.ciphers = ciphers})), kPolicy)
        << ciphers;
  }
  for (const char* groups : {"X25519", "P-256", "X448", "P-384"}) {
    EXPECT_EQ(body(fetch_from(leaf, says(response(kPolicy)), {.groups = groups})), kPolicy)
        << groups;
  }
}

TEST_F(CurlFetcherTest, AnRsaKeyOf8192BitsIsTaken) {
  const test::KeyPtr key = test::make_rsa_key(8192);
  const auto leaf = make_identity({.dns_names = {kHost}, .key = key.get()}, root_);
  EXPECT_EQ(body(fetch_from(leaf, says(response(kPolicy)))), kPolicy);
  EXPECT_EQ(body(fetch_from(leaf, says(response(kPolicy)), {.ciphers = "AES128-SHA"})), kPolicy);
}

TEST_F(CurlFetcherTest, ExpensiveKeyExchangesAreRefusedAtOnce) {
  const test::KeyPtr key = test::make_rsa_key(2048);
  const auto leaf = make_identity({.dns_names = {kHost}, .key = key.get()}, root_);
  for (const TlsServer::Options& options :
       {TlsServer::Options{.ciphers = "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA"},
        TlsServer::Options{.groups = "ffdhe2048"}, TlsServer::Options{.groups = "ffdhe8192"},
        TlsServer::Options{.groups = "P-521"}}) {
    const auto result = fetch_from(leaf, says(response(kPolicy)), options);
    EXPECT_EQ(error(result), ErrorKind::Tls);
    EXPECT_EQ(result ? "" : result.error().detail,
              "the policy host takes none of the key exchanges that are offered: ECDHE, and RSA in "
              "TLS 1.2");
  }
}

TEST_F(CurlFetcherTest, ExpensiveCertificatesAreRefusedUnread) {
  const auto refused = [&](const Identity& leaf, std::vector<const Identity*> rest) {
    const auto result = fetch_from(leaf, says(response(kPolicy)), {.chain_rest = std::move(rest)});
    EXPECT_EQ(error(result), ErrorKind::Certificate);
    return result ? "" : result.error().detail;
  };
  const std::string of = "certificate of mta-sts.example.com: ";
  const auto refused_key = [&](const test::KeyPtr& key) {
    const auto more = make_identity({.cn = "more", .is_ca = true, .key = key.get()}, root_);
    return refused(*good_, {&more});
  };
  const std::string second = of + "certificate 2 of its chain has ";
  EXPECT_EQ(refused_key(test::make_rsa_public_key(16384, 17)),
            second + "an RSA key of 16384 bits; at most 8192 are accepted");
  EXPECT_EQ(refused_key(test::make_rsa_public_key(8193, 17)),
            second + "an RSA key of 8193 bits; at most 8192 are accepted");
  EXPECT_EQ(refused_key(test::make_rsa_public_key(3072, 3000)),
            second + "an RSA key with an exponent of 3000 bits; at most 64 are accepted");
  EXPECT_EQ(refused_key(test::make_ec_key("P-256", false)),
            second + "a key on a curve of its own; only named curves are accepted");
  EXPECT_EQ(refused_key(test::make_ec_key("sect571r1")).substr(0, second.size() + 14),
            second + "a key on a cur");
  const auto plain = make_identity({.cn = "more", .is_ca = true}, root_);
  EXPECT_EQ(refused(*good_, std::vector<const Identity*>(49, &plain)),
            of + "it came with 50 certificates; at most 10 are accepted");
  EXPECT_EQ(body(fetch_from(*good_, says(response(kPolicy)),
                            {.chain_rest = std::vector<const Identity*>(9, &plain)})),
            kPolicy);
}

TEST_F(CurlFetcherTest, CertificatesAreBoundedInBytes) {
  const auto fat = make_identity({.dns_names = {kHost}, .comment_bytes = 34 * 1024}, root_);
  const auto refused = fetch_from(fat, says(response(kPolicy)));
  EXPECT_EQ(error(refused), ErrorKind::Tls);
  EXPECT_EQ(refused ? "" : refused.error().detail,
            "a TLS message that is too long, such as certificates of more than 32768 bytes");
  const auto thin = make_identity({.dns_names = {kHost}, .comment_bytes = 28 * 1024}, root_);
  EXPECT_EQ(body(fetch_from(thin, says(response(kPolicy)))), kPolicy);
}

// A server could have us make one key exchange after the other on a single connection.
TEST_F(CurlFetcherTest, NoSecondHandshakeIsMade) {
  bool again = true;
  const auto result = fetch_from(*good_, [&](Connection& c) { again = c.renegotiate(); },
                                 {.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"});
  EXPECT_FALSE(again);
}

// Lifetimes.

TEST_F(CurlFetcherTest, DroppedHandleIsNeverCalledBack) {
  TlsServer server(*good_, [](Connection& c) {
    c.wait(Milliseconds(30));
    c.send(response(kPolicy));
  });
  fetcher(server.port());
  auto token = std::make_shared<int>();
  for (const int after_ms : {0, 5, 20}) {
    Handle handle = start([token](FetchResult) { FAIL() << "called back"; });
    if (after_ms > 0) {
      run(Milliseconds(after_ms));
    }
    handle.reset();
    EXPECT_EQ(token.use_count(), 1);
  }
  run(Milliseconds(100));
}

TEST_F(CurlFetcherTest, CallbackMayDropHandlesAndFetchAgain) {
  TlsServer server(*good_, says(response(kPolicy)));
  fetcher(server.port());
  Handle first;
  Handle second;
  bool done = false;
  first = start([&](FetchResult) {
    first.reset();
    second = start([&](FetchResult result) {
      EXPECT_EQ(body(result), kPolicy);
      done = true;
      loop_.stop();
    });
    EXPECT_FALSE(done);
  });
  run();
  EXPECT_TRUE(done);
}

TEST_F(CurlFetcherTest, CallbackMayDestroyTheFetcher) {
  TlsServer server(*good_, says(response(kPolicy)));
  fetcher(server.port());
  std::vector<Handle> handles;
  for (int i = 0; i < 5; ++i) {
    handles.push_back(start([&](FetchResult) {
      ASSERT_TRUE(fetcher_);
      fetcher_.reset();
      loop_.stop();
    }));
  }
  run();
  EXPECT_FALSE(fetcher_);
}

TEST_F(CurlFetcherTest, DestroyingTheFetcherIsSilentAndHandlesMayLiveOn) {
  TlsServer server(*good_, [](Connection& c) { c.wait(Milliseconds(20000)); });
  fetcher(server.port());
  std::vector<Handle> handles;
  for (int i = 0; i < 5; ++i) {
    handles.push_back(start([](FetchResult) { FAIL() << "called back"; }));
  }
  run(Milliseconds(30));
  fetcher_.reset();
  run(Milliseconds(30));
}

TEST_F(CurlFetcherTest, ManyFetchesAtOnceAllSucceed) {
  const auto leaf = make_identity({.dns_names = {"*.example.com"}}, root_);
  TlsServer server(leaf, [](Connection& c) { c.send(response(c.sni())); });
  fetcher(server.port());
  std::vector<Handle> handles;
  int done = 0;
  constexpr int kCount = 60;
  for (int i = 0; i < kCount; ++i) {
    const std::string host = "h" + std::to_string(i) + ".example.com";
    handles.push_back(start(
        [&, host](FetchResult result) {
          EXPECT_EQ(body(result), host);
          if (++done == kCount) {
            loop_.stop();
          }
        },
        {.total = Milliseconds(20000)}, host.c_str()));
  }
  run();
  EXPECT_EQ(done, kCount);
}

}  // namespace
}  // namespace mtastsd::https
