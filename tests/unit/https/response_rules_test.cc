#include "mtastsd/https/response_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace mtastsd::https {
namespace {

ResponseHead good() {
  return {.status = 200, .content_types = {"text/plain"}};
}

TEST(ParseStatusLine, TakesThreeDigitsAndAnyReason) {  // RFC 9112 section 4
  EXPECT_EQ(parse_status_line("HTTP/1.1 200 OK\r\n"), 200);
  EXPECT_EQ(parse_status_line("HTTP/1.0 200 Not Found\r\n"), 200);
  EXPECT_EQ(parse_status_line("HTTP/1.1 404 \r\n"), 404);
  EXPECT_EQ(parse_status_line("HTTP/1.1 200\n"), 200);
  for (const char* bad :
       {"", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 1000 X", "HTTP/1.1 2000",
        "HTTP/1.1 20x OK", "HTTP/1.1 099 X", "HTTP/2 200 OK", "HTP/1.1 200 OK", "http/1.1 200 OK",
        "HTTP/1.1  200 OK", "HTTP/1.1 -20 OK"}) {
    EXPECT_EQ(parse_status_line(bad), std::nullopt) << bad;
  }
}

TEST(IsTextPlain, LooksAtTheTypeAndNotAtItsParameters) {  // RFC 8461 section 3.2
  for (const char* good : {"text/plain", "Text/PLAIN", "text/plain;", "text/plain; charset=utf-8",
                           "text/plain ;charset=\"utf-8\"", "text/plain;charset=utf-16"}) {
    EXPECT_TRUE(is_text_plain(good)) << good;
  }
  for (const char* bad :
       {"", "text/*", "text", "text/plainx", "text/plain charset=utf-8", "text/plain, text/html",
        "text/html", "application/octet-stream", "application/json; x=text/plain", "text /plain"}) {
    EXPECT_FALSE(is_text_plain(bad)) << bad;
  }
}

TEST(Refusal, TakesAPlain200) {
  EXPECT_FALSE(refusal(good()));
}

TEST(Refusal, NothingButStatus200Counts) {  // RFC 8461 section 3.3
  for (const int status :
       {201, 202, 203, 204, 206, 301, 302, 304, 307, 400, 404, 429, 500, 503, 101}) {
    auto head = good();
    head.status = status;
    EXPECT_EQ(refusal(head).value().kind, ErrorKind::Status) << status;
  }
}

TEST(Refusal, NamesWhereARedirectWouldLead) {
  EXPECT_EQ(refusal({.status = 302, .location = "https://elsewhere.example/"}).value().detail,
            "status 302, a redirect to https://elsewhere.example/");
}

TEST(Refusal, MediaTypeMustBeThereAndBeTextPlain) {
  for (const std::vector<std::string>& types :
       {std::vector<std::string>{}, {"text/html"}, {"text/plain", "text/html"}, {""}}) {
    auto head = good();
    head.content_types = types;
    EXPECT_EQ(refusal(head).value().kind, ErrorKind::MediaType);
  }
}

TEST(Refusal, ContentLengthsMustAgree) {  // RFC 9112 section 6.3
  const auto with = [](std::vector<std::string> lengths) {
    auto head = good();
    head.content_lengths = std::move(lengths);
    return refusal(head);
  };
  EXPECT_FALSE(with({"5", "5"}));
  EXPECT_FALSE(with({"5, 5"}));
  for (const std::vector<std::string>& bad : {std::vector<std::string>{"5", "6"},
                                              {"5, 6"},
                                              {"+5"},
                                              {"-5"},
                                              {"0x5"},
                                              {""},
                                              {"5,"},
                                              {"5 5"}}) {
    EXPECT_EQ(with(bad).value().kind, ErrorKind::Protocol) << bad.front();
  }
}

TEST(Refusal, ContentCodingsNobodyAskedForAreRefused) {  // RFC 9110 section 12.5.3
  auto head = good();
  head.content_codings = {"identity"};
  EXPECT_FALSE(refusal(head));
  head.content_codings = {"gzip"};
  EXPECT_EQ(refusal(head).value().kind, ErrorKind::Protocol);
}

// RFC 9112 sections 6.1 and 7: only "chunked" is there to be had, once.
TEST(Refusal, TransferCodingsNobodyAskedForAreRefused) {
  auto head = good();
  head.transfer_codings = {"Chunked"};
  EXPECT_FALSE(refusal(head));
  for (const std::vector<std::string>& codings :
       {std::vector<std::string>{"gzip"}, {"gzip, chunked"}, {"chunked", "chunked"}, {"foo"}}) {
    head.transfer_codings = codings;
    EXPECT_EQ(refusal(head).value().kind, ErrorKind::Protocol) << codings.front();
  }
}

TEST(ResponseHead, TellsWhetherTheConnectionEndsTheBody) {  // RFC 9112 section 6.3
  EXPECT_TRUE(good().body_ends_with_connection());
  auto head = good();
  head.content_lengths = {"5"};
  EXPECT_FALSE(head.body_ends_with_connection());
  head = good();
  head.transfer_codings = {"chunked"};
  EXPECT_FALSE(head.body_ends_with_connection());
}

TEST(IsInterim, IsAnythingBelow200ButASwitchOfProtocols) {  // RFC 9110 section 15.2
  for (const int status : {100, 102, 103, 199}) {
    EXPECT_TRUE(is_interim(status)) << status;
  }
  for (const int status : {101, 200, 404}) {
    EXPECT_FALSE(is_interim(status)) << status;
  }
}

TEST(ResultType, IsThatOfRfc8460) {  // RFC 8460 section 4.3
  EXPECT_EQ(result_type(ErrorKind::Certificate), "sts-webpki-invalid");
  for (const ErrorKind kind :
       {ErrorKind::Connect, ErrorKind::Timeout, ErrorKind::Tls, ErrorKind::Status,
        ErrorKind::MediaType, ErrorKind::TooLarge, ErrorKind::Protocol}) {
    EXPECT_EQ(result_type(kind), "sts-policy-fetch-error");
  }
}

}  // namespace
}  // namespace mtastsd::https
