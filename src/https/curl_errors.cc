#include "curl_errors.h"

#include <curl/curl.h>

#include "handshake_limits.h"

namespace mtastsd::https {

namespace {

// How libcurl reports its own bound on a header line.
#if LIBCURL_VERSION_NUM >= 0x080600
constexpr CURLcode kHeaderTooLarge = CURLE_TOO_LARGE;
#else
constexpr CURLcode kHeaderTooLarge = CURLE_OUT_OF_MEMORY;
#endif

ErrorKind kind_of(CURLcode code, bool handshaken) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_INTERFACE_FAILED:
    case CURLE_PROXY:
    case CURLE_NO_CONNECTION_AVAILABLE:
      return ErrorKind::Connect;
    case CURLE_OPERATION_TIMEDOUT:
      return ErrorKind::Timeout;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return ErrorKind::Certificate;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_USE_SSL_FAILED:
      return ErrorKind::Tls;
    case CURLE_FILESIZE_EXCEEDED:
    case kHeaderTooLarge:
      return ErrorKind::TooLarge;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
      return handshaken ? ErrorKind::Protocol : ErrorKind::Tls;
    default:  // the list grows with every release of curl; what is new there is about protocol
      return ErrorKind::Protocol;
  }
}

}  // namespace

Error error_from_curl(int code, const std::string& text, const std::string& host, bool handshaken) {
  const auto curl_code = static_cast<CURLcode>(code);
  const ErrorKind kind = kind_of(curl_code, handshaken);
  std::string detail = text.empty() ? curl_easy_strerror(curl_code) : text;
  if (curl_code == kHeaderTooLarge) {
    detail = "a header line that is too long";
  }
  if (detail.find("excessive message size") != std::string::npos) {
    detail = "a TLS message that is too long, such as certificates of more than " +
             std::to_string(kMaxCertificateBytes) + " bytes";
  }
  if (kind == ErrorKind::Certificate) {
    detail = "certificate of " + host + ": " + detail;
  }
  return Error{kind, std::move(detail)};
}

std::optional<Error> error_of_proxy(int code, const std::string& text, const std::string& host,
                                    int status) {
  constexpr int kAuthenticate = 407;
  if (status / 100 == 2) {
    return std::nullopt;  // the tunnel stood: what went wrong was in it
  }
  const std::string shown = " (status " + std::to_string(status) + ")";
  if (status == kAuthenticate) {
    return Error{
        ErrorKind::Proxy,
        "the proxy wants another user and password than [https] proxy_credentials has" + shown};
  }
  if (status / 100 == 5) {  // RFC 9110 section 15.6
    return Error{ErrorKind::Connect, "the proxy cannot connect to " + host + shown};
  }
  if (status != 0) {
    return Error{ErrorKind::Proxy, "the proxy refuses to connect to " + host + shown};
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return Error{ErrorKind::Timeout, "the proxy did not connect to " + host + " in time"};
  }
  const bool connected = code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_PROXY;
  return Error{ErrorKind::Proxy,
               (connected ? "the proxy did not answer: " : "cannot connect to the proxy: ") +
                   (text.empty() ? curl_easy_strerror(static_cast<CURLcode>(code)) : text)};
}

}  // namespace mtastsd::https
