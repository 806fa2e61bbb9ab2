#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test_ca.h"

namespace mtastsd::https::test {

// What a script sees of one connection, after the handshake and the request.
class Connection {
 public:
  Connection(SSL* ssl, std::string request, const std::atomic<bool>& stopping)
      : ssl_(ssl), request_(std::move(request)), stopping_(stopping) {}

  const std::string& request() const { return request_; }
  std::string sni() const {
    const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    return name != nullptr ? name : "";
  }
  bool send(std::string_view text) {
    return SSL_write(ssl_, text.data(), static_cast<int>(text.size())) > 0;
  }
  // False when the server is being stopped.
  bool wait(std::chrono::milliseconds time) const {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      if (stopping_) {
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  // Session tickets (RFC 8446 section 4.6.1), made first and sent in one go.
  void flood_with_tickets(int count) {
    BIO* to_client = SSL_get_wbio(ssl_);
    BIO_up_ref(to_client);
    BIO* buffer = BIO_new(BIO_f_buffer());
    BIO_set_write_buffer_size(buffer, count * kTicketBytes);
    SSL_set0_wbio(ssl_, BIO_push(buffer, to_client));
    for (int i = 0; i < count && !stopping_; ++i) {
      if (SSL_new_session_ticket(ssl_) != 1 || SSL_do_handshake(ssl_) != 1) {
        break;
      }
    }
    while (BIO_flush(buffer) != 1 && BIO_should_retry(buffer) && !stopping_) {
    }
  }
  // TLS 1.2: asks the client for another handshake. True if it makes one.
  bool renegotiate() {
    if (SSL_renegotiate(ssl_) != 1 || SSL_do_handshake(ssl_) != 1) {
      return false;
    }
    char byte = 0;
    for (int i = 0; i < 5 && SSL_renegotiate_pending(ssl_) == 1; ++i) {
      static_cast<void>(SSL_read(ssl_, &byte, 1));
    }
    return SSL_renegotiate_pending(ssl_) == 0 && SSL_num_renegotiations(ssl_) > 0 &&
           SSL_is_init_finished(ssl_) == 1;
  }
  void close_without_notify() { notify_ = false; }
  bool notify() const { return notify_; }

 private:
  static constexpr long kTicketBytes = 512;  // with room to spare

  SSL* ssl_;
  std::string request_;
  const std::atomic<bool>& stopping_;
  bool notify_ = true;
};

using Script = std::function<void(Connection&)>;

// An HTTPS server on 127.0.0.1, one thread a connection. The script writes the raw response.
class TlsServer {
 public:
  struct Options {
    std::vector<const Identity*> chain_rest;  // certificates sent after the leaf
    int max_version = 0;
    const char* ciphers = nullptr;  // of TLS 1.2, which is then the only version
    const char* groups = nullptr;
    std::string alpn;            // one protocol selected whatever is offered, empty: none
    bool plain_text = false;     // does not speak TLS at all
    bool hang_up_early = false;  // closes right after accept
    bool silent = false;         // accepts, and says nothing
  };

  TlsServer(const Identity& leaf, Script script) : TlsServer(leaf, std::move(script), Options()) {}
  TlsServer(const Identity& leaf, Script script, Options options)
      : script_(std::move(script)), options_(std::move(options)) {
    context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_use_certificate(context_.get(), leaf.cert.get());
    SSL_CTX_use_PrivateKey(context_.get(), leaf.key.get());
    SSL_CTX_set_max_cert_list(context_.get(), 1 << 20);
    for (const auto* more : options_.chain_rest) {
      X509_up_ref(more->cert.get());
      SSL_CTX_add_extra_chain_cert(context_.get(), more->cert.get());
    }
    if (options_.max_version != 0) {
      SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
      SSL_CTX_set_max_proto_version(context_.get(), options_.max_version);
    }
    if (options_.ciphers != nullptr) {
      SSL_CTX_set_max_proto_version(context_.get(), TLS1_2_VERSION);
      EXPECT_EQ(SSL_CTX_set_cipher_list(context_.get(), options_.ciphers), 1);
      SSL_CTX_set_dh_auto(context_.get(), 1);
    }
    if (options_.groups != nullptr) {
      EXPECT_EQ(SSL_CTX_set1_groups_list(context_.get(), options_.groups), 1);
    }
    if (!options_.alpn.empty()) {
      SSL_CTX_set_alpn_select_cb(context_.get(), &select_alpn, this);
    }
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_, generic, size), 0);
    EXPECT_EQ(listen(listener_, 100), 0);
    EXPECT_EQ(getsockname(listener_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  ~TlsServer() {
    stopping_ = true;
    acceptor_.join();
    close(listener_);
    for (auto& thread : threads_) {
      thread.join();
    }
  }

  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  int requests() const { return requests_; }

 private:
  struct ContextFree {
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
  };

  static int select_alpn(SSL*, const unsigned char** out, unsigned char* size, const unsigned char*,
                         unsigned, void* self) {
    const auto& alpn = static_cast<TlsServer*>(self)->options_.alpn;
    *out = reinterpret_cast<const unsigned char*>(alpn.data());
    *size = static_cast<unsigned char>(alpn.size());
    return SSL_TLSEXT_ERR_OK;
  }

  void accept_all() {
    while (!stopping_) {
      pollfd fd{listener_, POLLIN, 0};
      if (poll(&fd, 1, 20) <= 0) {
        continue;
      }
      const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) {
        continue;
      }
      ++connections_;
      threads_.emplace_back([this, connection] {
        serve(connection);
        close(connection);
      });
    }
  }

  void serve(int fd) {
    if (options_.hang_up_early) {
      return;
    }
    if (options_.silent) {
      while (!stopping_) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      return;
    }
    const timeval patience{0, 200000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (options_.plain_text) {
      const std::string text = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
      send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      return;
    }
    SSL* ssl = SSL_new(context_.get());
    SSL_set_fd(ssl, fd);
    if (handshake(ssl)) {
      const std::string request = read_request(ssl);
      if (request.ends_with("\r\n\r\n")) {
        ++requests_;
        Connection connection(ssl, request, stopping_);
        script_(connection);
        if (connection.notify()) {
          SSL_shutdown(ssl);
          drain(ssl);
        }
      }
    }
    SSL_free(ssl);
    ERR_clear_error();
  }

  bool retry(SSL* ssl, int result) const {
    const int error = SSL_get_error(ssl, result);
    return !stopping_ && (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE);
  }

  bool handshake(SSL* ssl) {
    int result = 0;
    while ((result = SSL_accept(ssl)) <= 0) {
      if (!retry(ssl, result)) {
        return false;
      }
    }
    return true;
  }

  std::string read_request(SSL* ssl) {
    std::string request;
    char buffer[4096];
    while (!request.ends_with("\r\n\r\n")) {
      const int n = SSL_read(ssl, buffer, sizeof buffer);
      if (n > 0) {
        request.append(buffer, static_cast<std::size_t>(n));
      } else if (!retry(ssl, n)) {
        break;
      }
    }
    return request;
  }

  // Until the client hangs up, so that what was sent is not lost to a reset.
  void drain(SSL* ssl) {
    char buffer[256];
    const int n = SSL_read(ssl, buffer, sizeof buffer);
    static_cast<void>(n);
  }

  Script script_;
  Options options_;
  std::unique_ptr<SSL_CTX, ContextFree> context_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0};
  std::atomic<int> requests_{0};
  std::thread acceptor_;
  std::list<std::thread> threads_;  // grown by the acceptor alone until it is joined
};

}  // namespace mtastsd::https::test
