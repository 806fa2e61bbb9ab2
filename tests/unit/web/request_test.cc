#include "mtastsd/web/request.h"

#include <gtest/gtest.h>

namespace mtastsd::web {
namespace {

int refusal(std::string_view head) {
  const auto request = parse_request(head);
  return request ? 0 : request.error();
}

TEST(WebRequest, IsTakenApart) {
  const auto request = parse_request(
      "GET /domain/a%2Fb?mode=enforce&q=a+b%21&empty HTTP/1.1\r\nHost: example\r\n"
      "X-Forwarded-Prefix: /mtasts/\r\nx-forwarded-for: 192.0.2.1 , 2001:db8::1\r\n");
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->head);
  EXPECT_EQ(request->path, "/domain/a/b");
  EXPECT_EQ(request->parameter("mode"), "enforce");
  EXPECT_EQ(request->parameter("q"), "a b!");
  EXPECT_EQ(request->parameter("empty"), "");
  EXPECT_EQ(request->parameter("none"), "");
  EXPECT_EQ(request->prefix, "/mtasts");
  EXPECT_EQ(request->forwarded_for, "2001:db8::1");
  EXPECT_TRUE(parse_request("HEAD / HTTP/1.0")->head);
}

TEST(WebRequest, OthersAreRefused) {
  EXPECT_EQ(refusal("POST / HTTP/1.1"), 405);
  EXPECT_EQ(refusal("DELETE / HTTP/1.1"), 405);
  EXPECT_EQ(refusal("GET / HTTP/2"), 505);
  EXPECT_EQ(refusal("GET /"), 400);
  EXPECT_EQ(refusal(""), 400);
  EXPECT_EQ(refusal("GET  / HTTP/1.1"), 400);
  EXPECT_EQ(refusal("GET http://example/ HTTP/1.1"), 400);
  EXPECT_EQ(refusal("GET /\x80 HTTP/1.1"), 400);
  EXPECT_EQ(refusal("GET /%4 HTTP/1.1"), 400);
  EXPECT_EQ(refusal("GET /%zz HTTP/1.1"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nno field\r\n"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nA: b\r\n continued: c\r\n"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nContent-Length: 1\r\n"), 413);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"), 413);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nContent-Length: 0\r\n"), 0);
}

TEST(WebRequest, ParametersAreBounded) {
  std::string target = "/?";
  for (int i = 0; i < 100; ++i) {
    target += "a&";
  }
  EXPECT_EQ(parse_request("GET " + target + " HTTP/1.1")->query.size(), kMaxParameters);
}

TEST(WebRequest, APrefixNeverLeadsElsewhere) {
  EXPECT_EQ(check_prefix("/a/b-c_d.e~/"), "/a/b-c_d.e~");
  for (const char* bad : {"", "/", "a", "//evil.example", "/a//b", "/a\"b", "/<b>", "/a/../b",
                          "/a b", "http://evil.example"}) {
    EXPECT_EQ(check_prefix(bad), "") << bad;
  }
  EXPECT_EQ(check_prefix("/" + std::string(200, 'a')), "");
}

}  // namespace
}  // namespace mtastsd::web
