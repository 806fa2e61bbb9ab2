#include "tlsrpt.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/base/exact_copy.h"

namespace mtastsd::check {
namespace {

using Uris = std::vector<std::string>;

// RFC 8460 section 3.
TEST(ParseTlsRpt, TakesTheGrammar) {
  struct Row {
    std::string text;
    Uris destinations;
  };
  const std::vector<Row> rows = {
      {"v=TLSRPTv1;rua=mailto:a@b.example", {"mailto:a@b.example"}},
      {"v=TLSRPTv1; rua=mailto:a@b.example;", {"mailto:a@b.example"}},
      {"v=TLSRPTv1 ; rua=mailto:a@b.example ; ", {"mailto:a@b.example"}},
      {"v=TLSRPTv1; rua=https://a.example/x?y=z,mailto:a@b.example",
       {"https://a.example/x?y=z", "mailto:a@b.example"}},
      {"v=TLSRPTv1; rua=mailto:a@b.example , mailto:c@d.example",
       {"mailto:a@b.example", "mailto:c@d.example"}},
      {"v=TLSRPTv1; x.y=z; rua=mailto:a@b.example", {"mailto:a@b.example"}},
      {"v=TLSRPTv1; rua=a:b; rua=c:d", {"a:b", "c:d"}},
  };
  for (const Row& row : rows) {
    const ExactCopy copy(row.text);
    const auto record = parse_tlsrpt(copy.view());
    ASSERT_TRUE(record) << row.text << ": " << record.error().detail;
    EXPECT_EQ(record->destinations, row.destinations) << row.text;
  }
}

TEST(ParseTlsRpt, TellsWhereItIsBroken) {
  struct Row {
    std::string text;
    std::size_t offset;
  };
  const std::vector<Row> rows = {
      {"", 0},
      {"v=TLSRPTv1", 0},
      {"v=TLSRPTv2; rua=a:b", 0},
      {"v=TLSRPTv1;", 11},
      {"v=TLSRPTv1; rua=", 16},
      {"v=TLSRPTv1; rua=nobody", 16},
      {"v=TLSRPTv1; rua=a:b c:d", 20},
      {"v=TLSRPTv1; rua=a:b,", 20},
      {"v=TLSRPTv1; rua=a:b!10m", 19},
      {"v=TLSRPTv1; rua = a:b", 12},
      {"v=TLSRPTv1; x=; rua=a:b", 14},
      {"v=TLSRPTv1; rua=a:b; x=1 2", 25},
      {"v=TLSRPTv1; rua=a:b; x=1=2", 24},
      {"v=TLSRPTv1; rua=a:b; x=\x01", 23},
      {"v=TLSRPTv1; rua=a:b; rua=c", 25},
      {"v=TLSRPTv1; rua", 12},
      {"v=TLSRPTv1; =a", 12},
      {"v=TLSRPTv1; x=1", 15},
  };
  for (const Row& row : rows) {
    const ExactCopy copy(row.text);
    const auto record = parse_tlsrpt(copy.view());
    ASSERT_FALSE(record) << row.text;
    EXPECT_EQ(record.error().offset, row.offset) << row.text << ": " << record.error().detail;
  }
}

TEST(UsableDestination, IsAnAddressOrAnHttpsHost) {
  for (const char* good : {"mailto:a@b.example", "mailto:a@b.example?subject=x",
                           "https://a.example", "https://a.example:8443/x"}) {
    EXPECT_TRUE(usable_destination(good)) << good;
  }
  for (const char* bad : {"mailto:a", "mailto:@b.example", "mailto:a@-", "http://a.example/",
                          "https:///x", "a:b", "MAILTO", ""}) {
    EXPECT_FALSE(usable_destination(bad)) << bad;
  }
}

}  // namespace
}  // namespace mtastsd::check
