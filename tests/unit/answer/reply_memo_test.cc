#include "mtastsd/answer/reply_memo.h"

#include <gtest/gtest.h>

#include <string>

namespace mtastsd::answer {
namespace {

using resolver::Standing;

const WallTime kNow{Seconds(1'700'000'000)};
constexpr cache::Versions::Slot kSlot = 7;
const std::string kRequest = "postfix example.com";
const std::string kReply = "OK secure match=mail.example.com servername=hostname";

class ReplyMemoTest : public testing::Test {
 protected:
  void keep_once(const std::string& request, const std::string& reply) {
    memo_.keep(request, {reply, Standing::Enforced, kSlot, versions_.version(kSlot)}, kNow,
               kNow + Seconds(60));
  }
  void keep(const std::string& request, const std::string& reply) {
    keep_once(request, reply);
    keep_once(request, reply);
  }
  std::string reply(const std::string& request, WallTime now = kNow) const {
    const auto known = memo_.find(request, now);
    return known ? std::string(known->reply) : "unknown";
  }

  cache::Versions versions_;
  ReplyMemo memo_{versions_};
};

TEST_F(ReplyMemoTest, FindsWhatWasKept) {
  EXPECT_EQ(reply(kRequest), "unknown");
  keep(kRequest, kReply);
  const auto known = memo_.find(kRequest, kNow);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->reply, kReply);
  EXPECT_EQ(known->standing, Standing::Enforced);
  keep(kRequest, "NOTFOUND ");
  EXPECT_EQ(reply(kRequest), "NOTFOUND ");
}

TEST_F(ReplyMemoTest, KeepsWhatComesForTheSecondTime) {
  keep_once(kRequest, kReply);
  EXPECT_EQ(reply(kRequest), "unknown");
  keep_once(kRequest, kReply);
  EXPECT_EQ(reply(kRequest), kReply);
}

TEST_F(ReplyMemoTest, WhatComesOncePushesNothingOut) {
  for (int i = 0; i < 1000; ++i) {
    keep("postfix d" + std::to_string(i) + ".example", "OK");
  }
  for (int i = 0; i < 100000; ++i) {
    keep_once("postfix once" + std::to_string(i) + ".example", "OK");
  }
  int found = 0;
  for (int i = 0; i < 1000; ++i) {
    found += reply("postfix d" + std::to_string(i) + ".example") == "OK" ? 1 : 0;
  }
  EXPECT_GT(found, 980);
}

TEST_F(ReplyMemoTest, HoldsForItsSpanOnly) {
  keep(kRequest, kReply);
  EXPECT_EQ(reply(kRequest, kNow + Seconds(59)), kReply);
  EXPECT_EQ(reply(kRequest, kNow + Seconds(60)), "unknown");
  EXPECT_EQ(reply(kRequest, kNow - Seconds(1)), "unknown");  // the clock was set back
}

TEST_F(ReplyMemoTest, HoldsUntilTheRecordChanges) {
  keep(kRequest, kReply);
  versions_.add(kSlot + 1);
  EXPECT_EQ(reply(kRequest), kReply);
  versions_.add(kSlot);
  EXPECT_EQ(reply(kRequest), "unknown");
  keep(kRequest, kReply);
  versions_.committed(kSlot);
  EXPECT_EQ(reply(kRequest), kReply);
  versions_.add(kSlot);
  keep(kRequest, kReply);
  versions_.dropped(kSlot);
  EXPECT_EQ(reply(kRequest), "unknown");
}

// It is read while another one takes its place.
TEST_F(ReplyMemoTest, AReplyFromBeforeAChangeIsNotTakenForTheNewest) {
  const std::uint64_t before = versions_.version(kSlot);
  versions_.add(kSlot);
  for (int i = 0; i < 2; ++i) {
    memo_.keep(kRequest, {kReply, Standing::Enforced, kSlot, before}, kNow, kNow + Seconds(60));
  }
  EXPECT_EQ(reply(kRequest), "unknown");
}

TEST_F(ReplyMemoTest, NothingIsKnownOfAnEmptyRequest) {
  EXPECT_EQ(reply(""), "unknown");
  EXPECT_EQ(reply("", WallTime{}), "unknown");
}

TEST_F(ReplyMemoTest, ARequestIsTheSameByteForByte) {
  keep(kRequest, kReply);
  for (const char* other : {"postfix example.co", "postfix example.comO", "postfix Example.com",
                            "postfiy example.com"}) {
    EXPECT_EQ(reply(other), "unknown") << other;
  }
}

// Far more than there is room for: each one is found as it was kept, or not at all.
TEST_F(ReplyMemoTest, WhatIsPushedOutIsNotMistakenForAnother) {
  constexpr int kMany = 100000;
  for (int i = 0; i < kMany; ++i) {
    keep("postfix d" + std::to_string(i) + ".example", "OK " + std::to_string(i));
  }
  int found = 0;
  for (int i = 0; i < kMany; ++i) {
    const std::string got = reply("postfix d" + std::to_string(i) + ".example");
    if (got != "unknown") {
      ++found;
      ASSERT_EQ(got, "OK " + std::to_string(i));
    }
  }
  EXPECT_GT(found, 5000);
  EXPECT_LT(found, 20000);
}

TEST_F(ReplyMemoTest, AFewThousandHardlyGetInEachOthersWay) {
  int found = 0;
  for (int i = 0; i < 4000; ++i) {
    keep("postfix d" + std::to_string(i) + ".example", "OK");
  }
  for (int i = 0; i < 4000; ++i) {
    found += reply("postfix d" + std::to_string(i) + ".example") == "OK" ? 1 : 0;
  }
  // The places are chosen by a random key: 3,876 are found on average, with a deviation of 13.
  EXPECT_GT(found, 3800);
}

TEST_F(ReplyMemoTest, WhatIsTooLongIsNotKept) {
  std::size_t longest = 0;
  for (std::size_t bytes = 1; bytes < 1000; ++bytes) {
    const std::string request = "postfix d" + std::to_string(bytes) + ".example";
    keep(request, std::string(bytes, 'x'));
    const std::string got = reply(request);
    if (got != "unknown") {
      longest = bytes;
      EXPECT_EQ(got, std::string(bytes, 'x'));
    }
  }
  EXPECT_GT(longest, 170U);
  EXPECT_LT(longest, 256U);
  keep(std::string(300, 'r'), "OK");
  EXPECT_EQ(reply(std::string(300, 'r')), "unknown");
}

TEST_F(ReplyMemoTest, ForgetsAll) {
  keep(kRequest, kReply);
  memo_.forget();
  EXPECT_EQ(reply(kRequest), "unknown");
  keep(kRequest, kReply);
  EXPECT_EQ(reply(kRequest), kReply);
}

}  // namespace
}  // namespace mtastsd::answer
