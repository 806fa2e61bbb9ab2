// One libcurl multi handle on the loop. Connections, TLS sessions and names are not kept; the
// parsed CA bundle is.
//
// Lifetimes: a Transfer is owned by the caller, through the Handle, and known here by pointer;
// whichever of the two dies first unhooks the other. curl's callbacks only take note. Handles
// leave the multi handle, and callbacks of callers run, from deliver() and destructors only,
// which are never inside a call of curl.
//
// Limits: a proxy is asked over plain HTTP or SOCKS; "https://" proxies are refused by the
// check of the policy host's name. curl resolves the proxy's name in a thread of its own.

#include "mtastsd/https/curl_fetcher.h"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "curl_errors.h"
#include "handshake_limits.h"
#include "mtastsd/base/version.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/event/self_guard.h"
#include "mtastsd/https/authorities.h"
#include "mtastsd/https/response_rules.h"
#include "mtastsd/https/verification.h"
#include "source_address.h"

namespace mtastsd::https {

namespace {

// How often within FetchLimits::stall the speed is looked at.
constexpr std::size_t kLooksPerStall = 4;
// Since 8.10 libcurl waits up to 2 s for the other side's close_notify after each fetch. This
// bounds the connections that wait so, the oldest going first; it must exceed the fetches under
// way, which would wait for one another otherwise.
constexpr long kMaxConnections = 1024;
// First the one that every server has (RFC 8446 section 9.1): processors know its hash, SHA-384
// they compute, and a handshake is some hundred blocks of it. (In the place of what openssl.cnf
// says of TLS 1.3; of older versions it holds.)
constexpr char kTls13Ciphers[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kPath[] = "/.well-known/mta-sts.txt";

// libcurl 7.88 calls connect() all the same. Linux returns 0 for the first such call after a
// non-blocking connect() has succeeded.
#if LIBCURL_VERSION_NUM >= 0x080000
constexpr int kSocketIsConnected = CURL_SOCKOPT_ALREADY_CONNECTED;
#else
constexpr int kSocketIsConnected = CURL_SOCKOPT_OK;
#endif

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using ListPtr = std::unique_ptr<curl_slist, ListDeleter>;

void append(ListPtr& list, const std::string& text) {
  curl_slist* longer = curl_slist_append(list.get(), text.c_str());
  if (longer == nullptr) {
    throw std::bad_alloc();
  }
  static_cast<void>(list.release());
  list.reset(longer);
}

class CurlFetcher final : public PolicyFetcher {
 public:
  CurlFetcher(event::Loop& loop, Log& log, CurlOptions options);
  ~CurlFetcher() override;

  using Callback = std::function<void(FetchResult)>;
  Handle fetch(const DomainName& policy_host, Connection connection, FetchLimits limits,
               Callback callback) override;
  bool uses_proxy() const override { return !options_.proxy.empty(); }

 private:
  class Transfer;

  void socket_changed(curl_socket_t fd, int what);
  void timer_changed(long after_ms);
  void act(curl_socket_t fd, int ready);
  void collect();
  void deliver();
  void end(Transfer& transfer, Error error);
  void forget(Transfer& transfer);
  curl_socket_t socket_to_proxy(const curl_sockaddr& to) const;

  event::Loop& loop_;
  CurlOptions options_;
  const std::shared_ptr<Authorities> authorities_;
  std::optional<AuthoritiesWatch> authorities_watch_;  // depends-on: authorities_; if not shared
  event::SelfGuard guard_;
  std::unique_ptr<event::Timer> timer_;     // curl's
  std::unique_ptr<event::Timer> delivery_;  // for results that curl did not bring
  std::map<curl_socket_t, std::unique_ptr<event::FdWatch>> watches_;
  std::set<Transfer*> transfers_;
  std::deque<Transfer*> done_;                  // of these, those that have a result
  std::unique_ptr<CURLM, MultiDeleter> multi_;  // depends-on: timer_, watches_
};

// One fetch, from the call to its callback.
class CurlFetcher::Transfer final : public Fetch {
 public:
  Transfer(CurlFetcher& fetcher, std::string host, Connection connection, FetchLimits limits,
           Callback callback)
      : fetcher_(&fetcher),
        host_(std::move(host)),
        connection_(std::move(connection)),
        limits_(limits),
        callback_(std::move(callback)) {}
  ~Transfer() override {
    if (fetcher_ != nullptr) {
      fetcher_->forget(*this);
    }
  }

  void set_up();
  void finished(CURLcode code);
  void deliver();

 private:
  friend class CurlFetcher;

  template <typename T>
  void set(CURLoption option, T value) {
    curl_easy_setopt(easy_.get(), option, value);
  }
  void set_network_options();
  void set_connection_options();
  void set_tls_options();
  void set_http_options();

  std::size_t on_header(std::string_view line);
  void take_header_line(std::string_view line);
  ResponseHead read_head(int status) const;
  std::size_t on_body(std::string_view data);
  void look_at_speed();
  std::size_t received() const { return notes_ ? notes_->received : 0; }
  CURLcode on_ssl_context(SSL_CTX* context);
  void observe_end();
  bool handshaken() const;
  std::optional<Error> proxy_error(CURLcode code) const;

  CurlFetcher* fetcher_;  // nullptr once there is nothing left to do
  std::string host_;
  Connection connection_;  // the socket until curl takes it
  FetchLimits limits_;
  Callback callback_;
  Observation seen_;  // only where fetches are observed

  std::unique_ptr<event::Timer> speed_timer_;  // with limits_.stall
  std::deque<std::size_t> received_before_;    // at the last looks, at most kLooksPerStall
  ListPtr connect_to_;
  ListPtr headers_;
  std::array<char, CURL_ERROR_SIZE> curl_text_{};
  std::size_t header_bytes_ = 0;  // of all responses
  std::optional<int> reading_;    // the status of the response whose fields are coming in
  ResponseHead head_;             // of the final response, once it is complete
  std::string body_;
  std::optional<Error> refused_;                  // by a callback of ours
  std::shared_ptr<const ConnectionNotes> notes_;  // nullptr before the TLS handshake
  std::optional<FetchResult> result_;
  std::unique_ptr<CURL, EasyDeleter> easy_;  // depends-on: all above
};

void CurlFetcher::Transfer::set_up() {
  easy_.reset(curl_easy_init());
  if (!easy_) {
    throw std::bad_alloc();
  }
  set_network_options();
  if (connection_.address) {
    set_connection_options();
  }
  set_tls_options();
  set_http_options();
  if (limits_.stall > Milliseconds(0)) {
    speed_timer_ = fetcher_->loop_.make_timer([this] { look_at_speed(); });
    look_at_speed();
  }
}

void CurlFetcher::Transfer::set_network_options() {
  const auto& options = fetcher_->options_;
  set(CURLOPT_PRIVATE, this);
  set(CURLOPT_ERRORBUFFER, curl_text_.data());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<Milliseconds::rep>(1, limits_.total.count())));
  set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_FORBID_REUSE, 1L);
  set(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
  set(CURLOPT_PROXY, options.proxy.c_str());  // "" also turns off the environment's
  set(CURLOPT_NOPROXY, "");
  if (!options.proxy_credentials.empty()) {
    const std::size_t colon = options.proxy_credentials.find(':');
    set(CURLOPT_PROXYUSERNAME, options.proxy_credentials.substr(0, colon).c_str());
    set(CURLOPT_PROXYPASSWORD, options.proxy_credentials.substr(colon + 1).c_str());
  }
  if (!options.proxy.empty() && !options.sources.empty()) {
    set(CURLOPT_OPENSOCKETDATA, fetcher_);
    curl_easy_setopt(
        easy_.get(), CURLOPT_OPENSOCKETFUNCTION,
        +[](void* self, curlsocktype, curl_sockaddr* to) noexcept -> curl_socket_t {
          return static_cast<CurlFetcher*>(self)->socket_to_proxy(*to);
        });
  }
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

// curl takes the socket that is connected already. It closes it; before it has taken it, the
// transfer does.
void CurlFetcher::Transfer::set_connection_options() {
  // An address in the place of the name, which curl would look up otherwise.
  append(connect_to_, "::" + std::string(connection_.address->is_v6() ? "[" : "") +
                          connection_.address->str() + (connection_.address->is_v6() ? "]:" : ":") +
                          std::to_string(fetcher_->options_.port));
  set(CURLOPT_CONNECT_TO, connect_to_.get());
  set(CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(
      easy_.get(), CURLOPT_OPENSOCKETFUNCTION,
      +[](void* self, curlsocktype, curl_sockaddr*) noexcept -> curl_socket_t {
        return static_cast<Transfer*>(self)->connection_.socket.release();
      });
  curl_easy_setopt(
      easy_.get(), CURLOPT_SOCKOPTFUNCTION,
      +[](void*, curl_socket_t, curlsocktype) noexcept { return kSocketIsConnected; });
}

void CurlFetcher::Transfer::set_tls_options() {
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  // RFC 8461 section 7.2. SNI (section 7.1) is the host of the URL.
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_TLS13_CIPHERS, kTls13Ciphers);
  // The authorities are set with the rest of the context. curl would parse the bundle for each
  // fetch, or keep it for an hour, and take an intermediate certificate in it for an anchor.
  set(CURLOPT_CAINFO, nullptr);
  set(CURLOPT_CAPATH, nullptr);
  set(CURLOPT_CA_CACHE_TIMEOUT, 0L);
  set(CURLOPT_SSL_OPTIONS, static_cast<long>(CURLSSLOPT_NO_PARTIALCHAIN));
  set(CURLOPT_SSL_SESSIONID_CACHE, 0L);
  set(CURLOPT_SSL_CTX_DATA, this);
  curl_easy_setopt(
      easy_.get(), CURLOPT_SSL_CTX_FUNCTION, +[](CURL*, void* context, void* self) noexcept {
        return static_cast<Transfer*>(self)->on_ssl_context(static_cast<SSL_CTX*>(context));
      });
}

void CurlFetcher::Transfer::set_http_options() {
  const std::string url =
      "https://" + host_ + ":" + std::to_string(fetcher_->options_.port) + kPath;
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "https");
  set(CURLOPT_HTTPGET, 1L);
  // Over HTTP/2 curl 7.88 takes what came before a connection error for all of the body, and stays
  // inside one call, past every limit, while a server sends empty frames.
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_HTTP09_ALLOWED, 0L);
  set(CURLOPT_FOLLOWLOCATION, 0L);  // RFC 8461 section 3.3
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_ACCEPT_ENCODING, nullptr);
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
  set(CURLOPT_USERAGENT, (std::string("mtastsd/") + kVersion).c_str());
  append(headers_, "Accept: text/plain");
  set(CURLOPT_HTTPHEADER, headers_.get());
  // Lets curl refuse an announced size, one that overflows included, before it comes.
  set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(kMaxBodyBytes));
  set(CURLOPT_HEADERDATA, this);
  curl_easy_setopt(
      easy_.get(), CURLOPT_HEADERFUNCTION,
      +[](char* data, std::size_t, std::size_t size, void* self) noexcept {
        return static_cast<Transfer*>(self)->on_header({data, size});
      });
  set(CURLOPT_WRITEDATA, this);
  curl_easy_setopt(
      easy_.get(), CURLOPT_WRITEFUNCTION,
      +[](char* data, std::size_t, std::size_t size, void* self) noexcept {
        return static_cast<Transfer*>(self)->on_body({data, size});
      });
}

CURLcode CurlFetcher::Transfer::on_ssl_context(SSL_CTX* context) {
  SSL_CTX_set1_cert_store(context, fetcher_->authorities_->store().get());
  // RFC 8461 section 3.3: only DNS-IDs count, and "*" stands for a whole label. curl's own
  // check, which comes on top, would take the CN of a certificate without them.
  if (!require_dns_id(context, host_) || !bound_handshakes(context)) {
    return CURLE_SSL_CERTPROBLEM;
  }
  notes_ = take_notes(context, fetcher_->options_.observe ? CertificateRule::VerifyAndNote
                                                          : CertificateRule::Verify);
  if (!notes_) {
    return CURLE_SSL_CERTPROBLEM;
  }
  SSL_CTX_clear_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  // One message of TLS for each read: else session tickets without end are read in one call.
  // (curl since 8.15 has OpenSSL read ahead, and what was read it takes all the same.)
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(context, 0);
  return CURLE_OK;
}

// libcurl splits lines into fields, joins folded ones and keeps interim responses and trailers
// apart; what it lets through at the status line, and how much of it all, is ours to bound.
std::size_t CurlFetcher::Transfer::on_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    refused_ = Error{ErrorKind::TooLarge,
                     "more than " + std::to_string(kMaxHeaderBytes) + " bytes of headers"};
  } else if (head_.status == 0) {
    take_header_line(line);
  }
  return refused_ ? 0 : line.size();
}

// A line up to the end of the final response's header section.
void CurlFetcher::Transfer::take_header_line(std::string_view line) {
  if (!reading_) {
    reading_ = parse_status_line(line);
    if (!reading_) {
      refused_ = Error{ErrorKind::Protocol, "not an HTTP/1 response"};
    }
  } else if (line.find_first_not_of("\r\n") == std::string_view::npos) {
    const int status = *std::exchange(reading_, std::nullopt);
    if (is_interim(status)) {
      return;
    }
    head_ = read_head(status);
    refused_ = refusal(head_);
  }
}

ResponseHead CurlFetcher::Transfer::read_head(int status) const {
  const auto all = [this](const char* name) {
    std::vector<std::string> values;
    curl_header* field = nullptr;
    while (curl_easy_header(easy_.get(), name, values.size(), CURLH_HEADER, -1, &field) ==
           CURLHE_OK) {
      values.emplace_back(field->value);
    }
    return values;
  };
  const auto locations = all("Location");
  return {.status = status,
          .content_types = all("Content-Type"),
          .content_lengths = all("Content-Length"),
          .content_codings = all("Content-Encoding"),
          .transfer_codings = all("Transfer-Encoding"),
          .location = locations.empty() ? "" : locations.back()};
}

std::size_t CurlFetcher::Transfer::on_body(std::string_view data) {
  if (data.size() > kMaxBodyBytes - body_.size()) {
    refused_ =
        Error{ErrorKind::TooLarge, "more than " + std::to_string(kMaxBodyBytes) + " bytes of body"};
    return CURL_WRITEFUNC_ERROR;
  }
  body_.append(data);
  return data.size();
}

// Runs kLooksPerStall times within limits_.stall, and looks back over that long.
void CurlFetcher::Transfer::look_at_speed() {
  const Milliseconds stall = limits_.stall;
  const std::size_t now = received();
  const auto least =
      kLeastBytesPerSecond * static_cast<std::size_t>(stall.count()) / std::milli::den;
  if (received_before_.size() == kLooksPerStall && now - received_before_.front() < least) {
    fetcher_->end(*this, Error{ErrorKind::Timeout, "fewer than " + std::to_string(least) +
                                                       " bytes came within " +
                                                       std::to_string(stall.count()) + " ms"});
    return;
  }
  received_before_.push_back(now);
  if (received_before_.size() > kLooksPerStall) {
    received_before_.pop_front();
  }
  speed_timer_->arm(stall / kLooksPerStall);
}

bool CurlFetcher::Transfer::handshaken() const {
  curl_off_t handshake = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_APPCONNECT_TIME_T, &handshake);
  return handshake > 0;
}

std::optional<Error> CurlFetcher::Transfer::proxy_error(CURLcode code) const {
  if (!fetcher_->uses_proxy()) {
    return std::nullopt;
  }
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &status);
  return error_of_proxy(code, curl_text_.data(), host_, static_cast<int>(status));
}

void CurlFetcher::Transfer::observe_end() {
  const char* address = nullptr;
  curl_off_t took = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_PRIMARY_IP, &address);
  curl_easy_getinfo(easy_.get(), CURLINFO_TOTAL_TIME_T, &took);
  seen_.address = address != nullptr ? address : "";
  seen_.took = std::chrono::ceil<Milliseconds>(std::chrono::microseconds(took));
  if (notes_) {
    seen_.certificate = notes_->certificate;
    seen_.tls_version = notes_->tls_version;
  }
  seen_.status = head_.status;
  seen_.media_type = head_.content_types.empty() ? "" : head_.content_types.front();
  seen_.location = head_.location;
  seen_.body_size = body_.size();
}

void CurlFetcher::Transfer::finished(CURLcode code) {
  if (fetcher_->options_.observe) {
    observe_end();
  }
  if (received() > kMaxReceivedBytes) {
    // OpenSSL was made to stop; what curl made of it is worth nothing.
    result_ = failure(Error{ErrorKind::TooLarge, "more than " + std::to_string(kMaxReceivedBytes) +
                                                     " bytes came in all"});
  } else if (refused_) {
    result_ = failure(*std::move(refused_));
  } else if (notes_ && !notes_->refusal.empty()) {
    result_ =
        failure(Error{ErrorKind::Certificate, "certificate of " + host_ + ": " + notes_->refusal});
  } else if (notes_ && notes_->nothing_in_common) {
    result_ = failure(Error{ErrorKind::Tls,
                            "the policy host takes none of the key exchanges that are offered: "
                            "ECDHE, and RSA in TLS 1.2"});
  } else if (code != CURLE_OK) {
    auto of_proxy = proxy_error(code);
    result_ = failure(of_proxy ? *std::move(of_proxy)
                               : error_from_curl(code, curl_text_.data(), host_, handshaken()));
  } else if (head_.status == 0) {
    result_ = failure(Error{ErrorKind::Protocol, "not a complete HTTP response"});
  } else if (head_.body_ends_with_connection() && !notes_->close_notified) {
    // libcurl takes the end of the connection for the end of the body with or without it.
    // RFC 9112 section 9.8: whoever sits in between could have cut it anywhere.
    result_ = failure(Error{ErrorKind::Protocol, "the connection ended without close_notify"});
  } else {
    result_ = PolicyBody{std::move(body_)};
  }
}

void CurlFetcher::Transfer::deliver() {
  fetcher_->forget(*this);
  result_->seen = std::move(seen_);
  const auto callback = std::move(callback_);
  callback(*std::move(result_));  // Nothing may follow: it can destroy *this.
}

CurlFetcher::CurlFetcher(event::Loop& loop, Log& log, CurlOptions options)
    : loop_(loop),
      options_(std::move(options)),
      authorities_(options_.authorities ? options_.authorities
                                        : std::make_shared<Authorities>(options_.ca_file)),
      timer_(loop.make_timer([this] { act(CURL_SOCKET_TIMEOUT, 0); })),
      delivery_(loop.make_timer([this] { deliver(); })),
      multi_(curl_multi_init()) {
  if (!multi_) {
    throw std::runtime_error("cannot set up libcurl");
  }
  if (!options_.authorities) {
    authorities_watch_.emplace(loop, log, *authorities_);
  }
  CURLM* multi = multi_.get();
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, kMaxConnections);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(
      multi, CURLMOPT_SOCKETFUNCTION,
      +[](CURL*, curl_socket_t fd, int what, void* self, void*) noexcept {
        static_cast<CurlFetcher*>(self)->socket_changed(fd, what);
        return 0;
      });
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(
      multi, CURLMOPT_TIMERFUNCTION, +[](CURLM*, long after_ms, void* self) noexcept {
        static_cast<CurlFetcher*>(self)->timer_changed(after_ms);
        return 0;
      });
}

CurlFetcher::~CurlFetcher() {
  for (auto* transfer : transfers_) {
    transfer->fetcher_ = nullptr;
    if (!transfer->easy_) {
      continue;
    }
    curl_multi_remove_handle(multi_.get(), transfer->easy_.get());
    transfer->easy_.reset();
  }
  multi_.reset();  // still calls for its last sockets
}

Handle CurlFetcher::fetch(const DomainName& policy_host, Connection connection, FetchLimits limits,
                          Callback callback) {
  auto transfer = std::make_unique<Transfer>(*this, policy_host.str(), std::move(connection),
                                             limits, std::move(callback));
  transfers_.insert(transfer.get());
  authorities_->refresh();
  if (authorities_->store() == nullptr) {
    end(*transfer, Error{ErrorKind::Tls, authorities_->problem()});
    return transfer;
  }
  if (!transfer->connection_.socket && !uses_proxy()) {
    end(*transfer, Error{ErrorKind::Connect, "there is no connection to the policy host"});
    return transfer;
  }
  transfer->set_up();
  // Starts nothing yet: curl asks for a timer, and begins when that comes.
  if (curl_multi_add_handle(multi_.get(), transfer->easy_.get()) != CURLM_OK) {
    throw std::runtime_error("libcurl takes no transfer");
  }
  return transfer;
}

// The callback is told on the next turn of the loop.
void CurlFetcher::end(Transfer& transfer, Error error) {
  transfer.result_ = failure(std::move(error));
  done_.push_back(&transfer);
  delivery_->arm(Milliseconds(0));
}

void CurlFetcher::forget(Transfer& transfer) {
  transfer.fetcher_ = nullptr;
  transfers_.erase(&transfer);
  std::erase(done_, &transfer);
  if (!transfer.easy_) {
    return;
  }
  curl_multi_remove_handle(multi_.get(), transfer.easy_.get());
  transfer.easy_.reset();
}

curl_socket_t CurlFetcher::socket_to_proxy(const curl_sockaddr& to) const {
  Fd socket(::socket(to.family, to.socktype | SOCK_CLOEXEC, to.protocol));
  return socket && use_source(socket.get(), to.family, options_.sources) ? socket.release()
                                                                         : CURL_SOCKET_BAD;
}

void CurlFetcher::socket_changed(curl_socket_t fd, int what) {
  if (what == CURL_POLL_REMOVE) {
    watches_.erase(fd);
    return;
  }
  const auto interest = static_cast<event::Interest>(((what & CURL_POLL_IN) != 0 ? 1U : 0U) |
                                                     ((what & CURL_POLL_OUT) != 0 ? 2U : 0U));
  auto& watch = watches_[fd];
  if (watch) {
    watch->set(interest);
    return;
  }
  watch = loop_.watch(fd, interest, [this, fd](event::Interest ready) {
    act(fd, (event::wants_read(ready) ? CURL_CSELECT_IN : 0) |
                (event::wants_write(ready) ? CURL_CSELECT_OUT : 0));
  });
}

void CurlFetcher::timer_changed(long after_ms) {
  if (after_ms < 0) {
    timer_->cancel();
  } else {
    timer_->arm(Milliseconds(after_ms));
  }
}

void CurlFetcher::act(curl_socket_t fd, int ready) {
  int running = 0;
  curl_multi_socket_action(multi_.get(), fd, ready, &running);
  collect();
  deliver();  // Nothing may follow: it can destroy *this.
}

void CurlFetcher::collect() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) {
      continue;
    }
    const CURLcode code = message->data.result;
    char* self = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &self);
    auto* transfer = reinterpret_cast<Transfer*>(self);
    if (!transfer->result_) {
      transfer->finished(code);
      done_.push_back(transfer);
    }
  }
}

void CurlFetcher::deliver() {
  event::SelfGuard::Watch watch(guard_);
  for (std::size_t left = done_.size(); left > 0 && !done_.empty(); --left) {
    done_.front()->deliver();
    if (watch.destroyed()) {
      return;
    }
  }
  // What callbacks have added waits a turn, so that they cannot hold the loop.
  if (!done_.empty()) {
    delivery_->arm(Milliseconds(0));
  }
}

}  // namespace

std::unique_ptr<PolicyFetcher> make_curl_fetcher(event::Loop& loop, Log& log, CurlOptions options) {
  return std::make_unique<CurlFetcher>(loop, log, std::move(options));
}

}  // namespace mtastsd::https
