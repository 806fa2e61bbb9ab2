#include "smtp_reply.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace mtastsd::check {
namespace {

TEST(TakeReply, WaitsForTheLastLine) {  // RFC 5321 section 4.2.1
  std::string received;
  for (const char c : std::string("250-a.example\r\n250-SIZE\r\n250 STARTTLS\r")) {
    received += c;
    ASSERT_FALSE(take_reply(received)) << received;
  }
  received += "\n220 more";
  const auto reply = take_reply(received);
  ASSERT_TRUE(reply && *reply);
  EXPECT_EQ((*reply)->code, 250);
  EXPECT_EQ((*reply)->lines, (std::vector<std::string>{"a.example", "SIZE", "STARTTLS"}));
  EXPECT_EQ(received, "220 more");
}

TEST(TakeReply, TakesBareCodesAndLineFeeds) {
  std::string received = "220\n";
  const auto reply = take_reply(received);
  ASSERT_TRUE(reply && *reply);
  EXPECT_EQ((*reply)->lines, std::vector<std::string>{""});
}

TEST(TakeReply, RefusesWhatIsNoSmtp) {
  for (const char* text : {"HTTP/1.1 400\r\n", "22\r\n", "120 x\r\n", "620 x\r\n", "220x\r\n",
                           "\r\n", "2a0 x\r\n", "250-a\r\nfoo\r\n"}) {
    std::string received = text;
    const auto reply = take_reply(received);
    EXPECT_TRUE(reply && !*reply) << text;
  }
}

TEST(TakeReply, IsBounded) {
  std::string line(kMaxReplyLine + 1, '2');
  const auto too_long = take_reply(line);
  EXPECT_TRUE(too_long && !*too_long);
  std::string lines;
  while (lines.size() <= kMaxReplyBytes) {
    lines += "250-x\r\n";
  }
  const auto too_many = take_reply(lines);
  EXPECT_TRUE(too_many && !*too_many);
}

TEST(OffersStarttls, AsAKeywordOfItsOwn) {  // RFC 3207 section 4
  EXPECT_TRUE(offers_starttls({250, {"x", "SIZE 1", "starttls"}}));
  EXPECT_TRUE(offers_starttls({250, {"x", "STARTTLS "}}));
  EXPECT_FALSE(offers_starttls({250, {"STARTTLS"}}));
  EXPECT_FALSE(offers_starttls({250, {"x", "STARTTLSX", "XSTARTTLS", "X STARTTLS"}}));
  EXPECT_FALSE(offers_starttls({250, {}}));
}

}  // namespace
}  // namespace mtastsd::check
