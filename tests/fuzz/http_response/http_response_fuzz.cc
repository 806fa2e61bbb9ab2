// All that a policy host sends inside TLS, as the real fetcher takes it. The parsing is libcurl's;
// what is bounded, refused and taken is ours. Some hundred a second, because of the handshakes.

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "fuzz/loopback.h"
#include "fuzz/require.h"
#include "mtastsd/base/ascii.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/https/curl_fetcher.h"
#include "mtastsd/https/response_rules.h"
#include "mtastsd/log/log.h"
#include "unit/https/test_ca.h"

using namespace mtastsd;
using fuzz::require;

namespace {

constexpr char kHost[] = "mta-sts.example.com";
constexpr https::FetchLimits kLimits{.total = Milliseconds(30000)};
constexpr timeval kPatience{35, 0};  // of the server, should the fetcher neither read nor hang up

struct ContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// The fetcher, and a policy host on loopback.
class Fetching {
 public:
  Fetching() {
    std::signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const auto root = https::test::make_root("fuzz root");
    const auto leaf = https::test::make_identity({.cn = kHost, .dns_names = {kHost}}, &root);
    context_.reset(SSL_CTX_new(TLS_server_method()));
    require(SSL_CTX_use_certificate(context_.get(), leaf.cert.get()) == 1 &&
                SSL_CTX_use_PrivateKey(context_.get(), leaf.key.get()) == 1,
            "the server has a certificate");
    const std::string ca_file = "/tmp/mtastsd_fuzz_ca_" + std::to_string(getpid());
    https::test::write_pem(ca_file, root.cert.get());
    fetcher_ =
        https::make_curl_fetcher(loop_, log_, {.ca_file = ca_file, .port = listener_.port()});
    std::remove(ca_file.c_str());  // those read before stay in use
  }

  https::FetchResult fetch(std::string_view response) {
    https::Connection connection = connect();
    const Fd server_end = listener_.accept();
    std::thread server([&] { serve(server_end, response); });
    std::optional<https::FetchResult> result;
    const https::Handle handle = fetcher_->fetch(*DomainName::parse(kHost), std::move(connection),
                                                 kLimits, [&](https::FetchResult got) {
                                                   require(!result, "there is one result");
                                                   result = std::move(got);
                                                   loop_.stop();
                                                 });
    loop_.run();
    server.join();
    return *std::move(result);
  }

 private:
  // As the dialer does it: libcurl wants to be told once that the connection is there.
  https::Connection connect() const {
    https::Connection made{Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
                           fuzz::next_loopback()};
    sockaddr_storage to{};
    const socklen_t size = made.address->to_sockaddr(listener_.port(), to);
    require(::connect(made.socket.get(), reinterpret_cast<const sockaddr*>(&to), size) != 0 &&
                errno == EINPROGRESS,
            "a connection begins");
    pollfd writable{made.socket.get(), POLLOUT, 0};
    require(::poll(&writable, 1, static_cast<int>(kLimits.total.count())) == 1, "and comes about");
    return made;
  }
  void serve(const Fd& end, std::string_view response) {
    setsockopt(end.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    setsockopt(end.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    SSL* ssl = SSL_new(context_.get());
    SSL_set_fd(ssl, end.get());
    std::array<char, 4096> request;
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, request.data(), request.size()) > 0) {
      if (!response.empty()) {
        static_cast<void>(SSL_write(ssl, response.data(), static_cast<int>(response.size())));
      }
      SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    ERR_clear_error();
    shutdown(end.get(), SHUT_RDWR);
  }

  std::unique_ptr<SSL_CTX, ContextFree> context_;
  fuzz::Listener listener_;
  mtastsd::event::Loop loop_;
  Log log_ = Log::null();
  std::unique_ptr<https::PolicyFetcher> fetcher_;  // depends-on: loop_, log_
};

// Whether the bytes of `part` stand in `whole` in this order, perhaps with others between them.
bool in_order(std::string_view part, std::string_view whole) {
  for (const char c : whole) {
    if (!part.empty() && part.front() == c) {
      part.remove_prefix(1);
    }
  }
  return part.empty();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Fetching fetching;
  const std::string_view response = fuzz::as_text(data, size);
  const auto result = fetching.fetch(response);
  if (!result) {
  }
  if (!result) {
    require(!result.error().detail.empty(), "an error says why");
    require(result.error().kind != https::ErrorKind::Timeout,
            "a server that has hung up ends the fetch");
    require(result.error().kind != https::ErrorKind::Certificate &&
                result.error().kind != https::ErrorKind::Connect,
            "an answer is no matter of the certificate or the connection");
    return 0;
  }
  require(result->body.size() <= https::kMaxBodyBytes, "the body has its bound");
  require(response.starts_with("HTTP/1."), "it was an HTTP/1 response");
  require(response.find(" 200") != std::string_view::npos, "with status 200");
  require(lower_case(response).find("text/plain") != std::string::npos, "and a media type");
  require(in_order(result->body, response), "the body comes from the server");
  return 0;
}
