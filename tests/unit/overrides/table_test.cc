#include "mtastsd/overrides/table.h"

#include <gtest/gtest.h>

#include <string>

namespace mtastsd::overrides {
namespace {

WallTime at(int seconds) {
  return WallTime(Seconds(seconds));
}

Override of(const std::string& scope, const std::string& reason) {
  return {.scope = *Scope::parse(scope), .reason = reason};
}

std::string reason_for(const Table& table, const std::string& domain, WallTime now = at(100)) {
  const Override* one = table.find(*DomainName::parse(domain), now);
  return one != nullptr ? one->reason : "";
}

TEST(Scope, IsADomainOrAllBelowIt) {
  EXPECT_EQ(Scope::parse("Partner.Example.")->str(), "partner.example");
  EXPECT_EQ(Scope::parse("*.partner.example")->str(), "*.partner.example");
  EXPECT_EQ(Scope::parse("b\u00fccher.example")->str(), "xn--bcher-kva.example");
  for (const char* bad : {"", "*", "*.", "a.*.example", "**.example", "u@a.example", ".example"}) {
    EXPECT_FALSE(Scope::parse(bad)) << bad;
  }
  const Scope below = *Scope::parse("*.a.example");
  EXPECT_TRUE(below.covers(*DomainName::parse("x.a.example")));
  EXPECT_TRUE(below.covers(*DomainName::parse("y.x.a.example")));
  EXPECT_FALSE(below.covers(*DomainName::parse("a.example")));
  EXPECT_FALSE(below.covers(*DomainName::parse("xa.example")));
}

TEST(Table, TheMostSpecificNameWins) {
  const Table table(
      {of("*.example", "all"), of("*.a.example", "below a"), of("a.example", "a itself")});
  EXPECT_EQ(reason_for(table, "a.example"), "a itself");
  EXPECT_EQ(reason_for(table, "x.a.example"), "below a");
  EXPECT_EQ(reason_for(table, "y.x.a.example"), "below a");
  EXPECT_EQ(reason_for(table, "b.example"), "all");
  EXPECT_EQ(reason_for(table, "example"), "");
  EXPECT_EQ(reason_for(table, "a.example.org"), "");
}

TEST(Table, TheLaterDecisionWinsWhereverItWasMade) {
  Override file = of("a.example", "file");
  Override command = of("a.example", "command");
  command.source = Source::CommandLine;
  file.decided_at = at(10);
  command.decided_at = at(20);
  EXPECT_EQ(reason_for(Table({file, command}), "a.example"), "command");
  file.decided_at = at(30);
  EXPECT_EQ(reason_for(Table({command, file}), "a.example"), "file");
  command.decided_at = at(30);
  EXPECT_EQ(reason_for(Table({file, command}), "a.example"), "command");
}

TEST(Table, WhatHasEndedUncoversWhatIsBehindIt) {
  Override latest = of("a.example", "latest");
  latest.decided_at = at(20);
  latest.until = at(100);
  Override earlier = of("a.example", "earlier");
  earlier.until = at(200);
  const Table table({latest, earlier, of("*.example", "below")});
  EXPECT_EQ(reason_for(table, "a.example", at(99)), "latest");
  EXPECT_EQ(reason_for(table, "a.example", at(100)), "earlier");
  EXPECT_EQ(reason_for(table, "a.example", at(200)), "below");
}

TEST(Override, IsCheckedForWhatItsActionNeeds) {
  Override one = of("a.example", "ticket 4711");
  EXPECT_TRUE(check(one));
  one.mx = {*mtasts::MxPattern::parse("mx.a.example")};
  EXPECT_FALSE(check(one));
  one.action = Action::Pin;
  EXPECT_TRUE(check(one));
  one.mx.clear();
  EXPECT_FALSE(check(one));
  one.action = Action::Testing;
  one.reason = "";
  EXPECT_FALSE(check(one));
  one.reason = "two\nlines";
  EXPECT_FALSE(check(one));
  one.reason = std::string(kMaxReasonBytes + 1, 'x');
  EXPECT_FALSE(check(one));
}

TEST(Override, TheirNumberAndBytesAreBounded) {
  const Override one = of("a.example", "reason");
  EXPECT_TRUE(check_number(std::vector<Override>(kMaxOverrides, one)));
  EXPECT_FALSE(check_number(std::vector<Override>(kMaxOverrides + 1, one)));
  const Override large = of("a.example", std::string(kMaxReasonBytes, 'x'));
  EXPECT_FALSE(check_number(std::vector<Override>(kMaxOverrides, large)));
}

TEST(Override, EndsWithADayOrAtATime) {
  EXPECT_EQ(parse_until("1970-01-02"), at(2 * 86400));
  EXPECT_EQ(parse_until("1970-01-02T00:00:01Z"), at(86401));
  for (const char* bad : {"", "tomorrow", "2027-02-30", "2027-01-15T12:00:00", "2027-1-5", "7d"}) {
    EXPECT_FALSE(parse_until(bad)) << bad;
  }
}

}  // namespace
}  // namespace mtastsd::overrides
