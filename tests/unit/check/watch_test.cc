#include "mtastsd/check/watch.h"

#include <gtest/gtest.h>

#include "sample_facts.h"

namespace mtastsd::check {
namespace {

using namespace test;

TEST(Watch, SaysWhatIsNewAndWhatIsGone) {
  Facts facts = sound();
  facts.record.value.ttl = Seconds(172800);
  const Remembered before = remember(Report(std::move(facts)));
  facts = sound();
  facts.mail = mail({mx_host("mx.example.com"), mx_host("x.example")});
  const Remembered now = remember(Report(std::move(facts)));
  EXPECT_EQ(changes("example.com", before, now),
            "example.com: partly_refused (was enforced), score 50 (was 95)\n"
            "  new   HIGH mta_sts_mx_mismatch: x.example\n"
            "  gone  LOW mta_sts_record_ttl_long: 2 days\n");
  EXPECT_EQ(changes("example.com", now, now), "");
}

TEST(Watch, TakesNoNoticeOfWhatDiffersEachTime) {
  Facts facts = sound();
  facts.policy_host.fetch.value.seen.took = Milliseconds(10001);
  facts.tlsrpt = Fact<TextRecords>::unknown("timeout: 192.0.2.53 after 5001 ms");
  const Remembered before = remember(Report(facts));
  facts.policy_host.fetch.value.seen.took = Milliseconds(12345);
  facts.tlsrpt.why = "timeout: 192.0.2.53 after 5002 ms";
  EXPECT_EQ(remember(Report(facts)), before);
}

TEST(Watch, ReadsWhatItHasWritten) {
  const Memory memory = {{"example.com", remember(Report(without()))},
                         {"example.net", remember(Report(sound()))}};
  EXPECT_EQ(parse_memory(to_text(memory)), memory);
  for (const char* text : {"", "{}", "[1]", R"({"format": 2, "domains": {}})",
                           R"({"format": 1, "domains": {"a": {"verdict": 1}}})"}) {
    EXPECT_EQ(parse_memory(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace mtastsd::check
