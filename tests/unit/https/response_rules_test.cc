#include "mtastsd/https/response_rules.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace mtastsd::https {
namespace {

using State = ResponseHead::State;

// Feeds the lines one by one, each from a buffer of exactly its size.
State feed(ResponseHead& head, std::string_view text) {
  State state = State::Reading;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n') + 1);
    text.remove_prefix(line.size());
    const std::unique_ptr<char[]> exact(new char[line.size()]);
    line.copy(exact.get(), line.size());
    state = head.add_line({exact.get(), line.size()});
  }
  return state;
}

State feed(std::string_view text) {
  ResponseHead head;
  return feed(head, text);
}

ErrorKind refusal(std::string_view text) {
  ResponseHead head;
  EXPECT_EQ(feed(head, text), State::Refused) << text;
  return head.error().kind;
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

TEST(ResponseHead, TakesAPlain200) {
  EXPECT_EQ(feed("HTTP/1.1 200 OK\r\ncontent-TYPE: text/plain\r\nCONTENT-length: 5\r\n\r\n"),
            State::Complete);
}

TEST(ResponseHead, LineEndsOfLfAloneAreTaken) {  // RFC 9112 section 2.2
  EXPECT_EQ(feed("HTTP/1.1 200 OK\nContent-Type: text/plain\n\n"), State::Complete);
}

TEST(ResponseHead, NothingButStatus200Counts) {  // RFC 8461 section 3.3
  for (const char* status : {"201", "202", "203", "204", "206", "301", "302", "304", "307", "400",
                             "404", "429", "500", "503", "101"}) {
    EXPECT_EQ(refusal(std::string("HTTP/1.1 ") + status +
                      " X\r\nContent-Type: text/plain\r\nLocation: https://x/\r\n\r\n"),
              ErrorKind::Status)
        << status;
  }
}

TEST(ResponseHead, ARedirectIsNamedInTheError) {
  ResponseHead head;
  feed(head, "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\n\r\n");
  EXPECT_EQ(head.error().detail, "status 302, a redirect to https://elsewhere.example/");
}

TEST(ResponseHead, InterimResponsesLeaveNoTrace) {  // RFC 9110 section 15.2
  EXPECT_EQ(feed("HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\n"
                 "HTTP/1.1 100 Continue\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"),
            State::Complete);
}

TEST(ResponseHead, FieldsOfAnInterimResponseDoNotCount) {
  EXPECT_EQ(refusal("HTTP/1.1 103 Early Hints\r\nContent-Type: text/plain\r\n\r\n"
                    "HTTP/1.1 200 OK\r\n\r\n"),
            ErrorKind::MediaType);
}

TEST(ResponseHead, MediaTypeMustBeThereAndBeTextPlain) {
  EXPECT_EQ(refusal("HTTP/1.1 200 OK\r\n\r\n"), ErrorKind::MediaType);
  EXPECT_EQ(refusal("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"), ErrorKind::MediaType);
  EXPECT_EQ(refusal("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                    "Content-Type: text/html\r\n\r\n"),
            ErrorKind::MediaType);
}

TEST(ResponseHead, FoldedFieldsAreOneValue) {  // RFC 9112 section 5.2
  EXPECT_EQ(feed("HTTP/1.1 200 OK\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n\r\n"),
            State::Complete);
  EXPECT_EQ(refusal("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\t, text/html\r\n\r\n"),
            ErrorKind::MediaType);
}

TEST(ResponseHead, ContentLengthsMustAgree) {  // RFC 9112 section 6.3
  const auto with = [](const std::string& lengths) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + lengths + "\r\n";
  };
  EXPECT_EQ(feed(with("Content-Length: 5\r\nContent-Length: 5\r\n")), State::Complete);
  EXPECT_EQ(feed(with("Content-Length: 5, 5\r\n")), State::Complete);
  for (const char* bad :
       {"Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n", "Content-Length: -5\r\n", "Content-Length: 0x5\r\n",
        "Content-Length:\r\n", "Content-Length: 5,\r\n", "Content-Length: 5 5\r\n"}) {
    EXPECT_EQ(refusal(with(bad)), ErrorKind::Protocol) << bad;
  }
}

TEST(ResponseHead, ContentCodingsNobodyAskedForAreRefused) {  // RFC 9110 section 12.5.3
  EXPECT_EQ(feed("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                 "Content-Encoding: identity\r\n\r\n"),
            State::Complete);
  EXPECT_EQ(refusal("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                    "Content-Encoding: gzip\r\n\r\n"),
            ErrorKind::Protocol);
}

TEST(ResponseHead, HeaderBytesAreBoundedOverAllResponsesTogether) {
  ResponseHead head;
  State state = State::Reading;
  std::size_t bytes = 0;
  while (state == State::Reading && bytes < 10 * kMaxHeaderBytes) {
    for (const char* line : {"HTTP/1.1 100 Continue\r\n", "\r\n"}) {
      state = head.add_line(line);
      bytes += std::string_view(line).size();
    }
  }
  EXPECT_EQ(state, State::Refused);
  EXPECT_EQ(head.error().kind, ErrorKind::TooLarge);
  EXPECT_LE(bytes, kMaxHeaderBytes + 100);
}

TEST(ResponseHead, TellsWhetherTheConnectionEndsTheBody) {  // RFC 9112 section 6.3
  const auto ends = [](const std::string& version, const std::string& fields) {
    ResponseHead head;
    EXPECT_EQ(feed(head, version + " 200 OK\r\nContent-Type: text/plain\r\n" + fields + "\r\n"),
              State::Complete);
    return head.body_ends_with_connection();
  };
  EXPECT_TRUE(ends("HTTP/1.1", ""));
  EXPECT_TRUE(ends("HTTP/1.0", ""));
  EXPECT_FALSE(ends("HTTP/1.1", "Content-Length: 5\r\n"));
  EXPECT_FALSE(ends("HTTP/1.1", "Transfer-Encoding: Chunked\r\n"));
}

// RFC 9112 sections 6.1 and 7: only "chunked" is there to be had, once.
TEST(ResponseHead, RefusesTransferCodingsThatWereNotAskedFor) {
  for (const char* fields : {"Transfer-Encoding: gzip\r\n", "Transfer-Encoding: gzip, chunked\r\n",
                             "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                             "Transfer-Encoding: foo\r\n"}) {
    EXPECT_EQ(
        refusal(std::string("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n") + fields + "\r\n"),
        ErrorKind::Protocol)
        << fields;
  }
}

// What a server writes into a connection does not make it another protocol.
TEST(ResponseHead, TheStatusLineIsThatOfTheProtocolInUse) {
  EXPECT_EQ(refusal("HTTP/2 200 OK\r\n"), ErrorKind::Protocol);
}

TEST(ResponseHead, TrailerFieldsChangeNothingButCount) {
  ResponseHead head;
  EXPECT_EQ(feed(head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"), State::Complete);
  EXPECT_EQ(head.add_line("Content-Type: text/html\r\n"), State::Complete);
  EXPECT_EQ(head.add_line(std::string(kMaxHeaderBytes, 'x')), State::Refused);
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
