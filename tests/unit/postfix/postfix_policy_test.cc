#include "mtastsd/postfix/postfix_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace mtastsd::postfix {
namespace {

using mtasts::Mode;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Patterns = std::vector<std::string_view>;

constexpr Profile kOld{.report_attributes = false, .servername = false};
constexpr Profile kPlain{.report_attributes = false, .servername = true};
constexpr Profile kReport{.report_attributes = true, .servername = true};

std::string reply(const Patterns& mx, const Profile& profile, std::string_view domain = "a.example",
                  Mode mode = Mode::Enforce) {
  std::string out;
  append_secure_reply(out, {domain, mode, Seconds{604800}, mx}, profile);
  return out;
}

const Patterns kTwo{"mail.a.example", "*.b.example"};

TEST(AppendSecureReply, NamesTheHostsForTheCertificate) {
  EXPECT_EQ(reply(kTwo, kPlain), "OK secure match=mail.a.example:.b.example servername=hostname");
  EXPECT_EQ(reply({"mail.a.example"}, kPlain),
            "OK secure match=mail.a.example servername=hostname");
}

// RFC 8461 section 7.1 asks for SNI; Postfix before 3.4 has no attribute for it.
TEST(AppendSecureReply, LeavesServernameToVersionsThatKnowIt) {
  EXPECT_EQ(reply(kTwo, kOld), "OK secure match=mail.a.example:.b.example");
}

TEST(AppendSecureReply, AddsReportAttributesWhereTheProfileHasThem) {
  EXPECT_EQ(reply(kTwo, kReport),
            "OK secure match=mail.a.example:.b.example servername=hostname"
            " policy_type=sts policy_domain=a.example"
            " { policy_string = version: STSv1 }"
            " { policy_string = mode: enforce }"
            " { policy_string = mx: mail.a.example }"
            " { policy_string = mx: *.b.example }"
            " { policy_string = max_age: 604800 }"
            " mx_host_pattern=mail.a.example mx_host_pattern=*.b.example");
}

// Postfix defers the mail if such a level has match=, and sends SNI for DANE of its own accord.
TEST(AppendDaneReply, IsTheLevelAndNothingThatPostfixRefusesThere) {
  std::string out;
  append_dane_reply(out, {"a.example", Mode::Enforce, Seconds{604800}, kTwo}, kPlain);
  EXPECT_EQ(out, "OK dane-only");
  out.clear();
  append_dane_reply(out, {"a.example", Mode::Enforce, Seconds{604800}, kTwo}, kReport);
  EXPECT_EQ(out,
            "OK dane-only"
            " policy_type=sts policy_domain=a.example"
            " { policy_string = version: STSv1 }"
            " { policy_string = mode: enforce }"
            " { policy_string = mx: mail.a.example }"
            " { policy_string = mx: *.b.example }"
            " { policy_string = max_age: 604800 }"
            " mx_host_pattern=mail.a.example mx_host_pattern=*.b.example");
}

TEST(AppendDaneReply, ADamagedPolicyLetsTheMailWait) {
  std::string out;
  append_dane_reply(out, {"a.example", Mode::Enforce, Seconds{1}, {}}, kPlain);
  EXPECT_EQ(out, "TEMP stored policy is damaged");
}

TEST(AppendSecureReply, ReportsTheModeThatWasPublished) {
  EXPECT_THAT(reply(kTwo, kReport, "a.example", Mode::Testing),
              HasSubstr(" { policy_string = mode: testing }"));
}

TEST(AppendSecureReply, NeverSendsPolicyFailureOrTtl) {
  EXPECT_THAT(reply(kTwo, kReport), Not(HasSubstr("policy_failure")));
  EXPECT_THAT(reply(kTwo, kReport), Not(HasSubstr("policy_ttl")));
}

TEST(AppendSecureReply, AppendsWithoutTouchingWhatIsThere) {
  std::string out = "before ";
  append_secure_reply(out, {"a.example", Mode::Enforce, Seconds{1}, kTwo}, kOld);
  EXPECT_EQ(out, "before OK secure match=mail.a.example:.b.example");
}

TEST(AppendSecureReply, AllocatesNothingWhenThereIsRoom) {
  std::string out;
  out.reserve(1000);
  const char* const place = out.data();
  const std::size_t room = out.capacity();
  append_secure_reply(out, {"a.example", Mode::Enforce, Seconds{1}, kTwo}, kReport);
  EXPECT_EQ(out.data(), place);
  EXPECT_EQ(out.capacity(), room);
}

// Postfix takes a reply of 100000 bytes and defers the mail for one byte more.
TEST(AppendSecureReply, LeavesReportAttributesOutRatherThanPassTheLimit) {
  Patterns mx{"m.example"};
  while (reply(mx, kReport, "a").size() + 100 < kMaxReplyBytes) {
    mx.push_back("m.example");
  }
  // From here on each byte of the domain is one of the reply.
  const std::size_t room = kMaxReplyBytes - reply(mx, kReport, "a").size();
  ASSERT_LT(room, 200u);
  const std::string full = reply(mx, kReport, std::string(1 + room, 'a'));
  EXPECT_EQ(full.size(), kMaxReplyBytes);
  EXPECT_THAT(full, EndsWith(" mx_host_pattern=m.example"));
  EXPECT_EQ(reply(mx, kReport, std::string(2 + room, 'a')), reply(mx, kPlain));
}

// The largest policy that a body of 64 KiB can hold.
TEST(AppendSecureReply, TheLargestPolicyFits) {
  const Patterns mx(mtasts::kMaxPolicyBytes / 5, "a");
  const std::string text = reply(mx, kReport);
  EXPECT_LE(text.size(), kMaxReplyBytes);
  EXPECT_THAT(text, StartsWith("OK secure match=a:a:"));
  EXPECT_THAT(text, Not(HasSubstr("policy_type")));
}

// Anything but host-name characters would end the value, and what follows would be read as
// attributes of its own.
TEST(AppendSecureReply, LetsNothingButHostNamesThrough) {
  for (const std::string_view bad :
       {"", ".", ".example.com", "*", "*.", "*..example.com", "**.example.com", "a*.example.com",
        "a b.example", "a.example,b", "a.example:b.example", "a.example:", "{a.example}",
        "a.example servername=evil.example", "tafile=/x", "a.example\n", "-a.example",
        "b\xc3\xbc"
        "cher.example"}) {
    EXPECT_EQ(reply({bad}, kReport), "TEMP stored policy is damaged") << bad;
    EXPECT_EQ(reply({"mail.example.com", bad}, kPlain), "TEMP stored policy is damaged") << bad;
  }
  EXPECT_EQ(reply({}, kPlain), "TEMP stored policy is damaged");
}

TEST(AppendSecureReply, LeavesReportAttributesOutWithoutADomain) {
  const std::string plain = reply(kTwo, kPlain);
  EXPECT_EQ(reply(kTwo, kReport, ""), plain);
  EXPECT_EQ(reply(kTwo, kReport, "a.example { policy_string = x }"), plain);
}

}  // namespace
}  // namespace mtastsd::postfix
