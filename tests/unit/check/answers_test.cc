#include "answers.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace mtastsd::check {
namespace {

using dns::Answer;

template <typename T>
Answer<T> failed() {
  return failure(dns::Error{dns::ErrorKind::ServFail, "from 192.0.2.53:53"});
}
template <typename T>
Answer<T> none() {
  return dns::NoSuchRecord{};
}
dns::AddressAnswer addresses(std::vector<IpAddress> list) {
  dns::AddressAnswer answer = dns::Addresses{std::move(list), Seconds(60)};
  answer.provenance.chain = {"alias.example"};
  return answer;
}

const IpAddress kV4 = *IpAddress::parse("192.0.2.1");
const IpAddress kV6 = *IpAddress::parse("2001:db8::1");

TEST(TextFact, TellsErrorsFromAbsence) {
  EXPECT_TRUE(text_fact(none<dns::TxtRecords>()).absent());
  const auto unknown = text_fact(failed<dns::TxtRecords>());
  EXPECT_TRUE(unknown.cannot_tell());
  EXPECT_EQ(unknown.why, "SERVFAIL: from 192.0.2.53:53");
  dns::TxtAnswer answer = dns::TxtRecords{{"x", "y"}, Seconds(60)};
  answer.provenance.authenticated = true;
  const auto known = text_fact(answer);
  EXPECT_EQ(known.value.records, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(known.value.ttl, Seconds(60));
  EXPECT_TRUE(known.value.authenticated);
}

TEST(AddressFact, OneFamilyIsEnough) {
  const auto known = address_fact({.v4 = addresses({kV4}), .v6 = failed<dns::Addresses>()});
  ASSERT_TRUE(known.known());
  EXPECT_EQ(known.value.v4, std::vector{kV4});
  EXPECT_EQ(known.value.chain, std::vector<std::string>{"alias.example"});
  EXPECT_EQ(address_fact({.v4 = none<dns::Addresses>(), .v6 = addresses({kV6})}).value.v6,
            std::vector{kV6});
  EXPECT_EQ(address_fact({.v4 = addresses({kV4})}).value.v4, std::vector{kV4}) << "v6 is late";
  EXPECT_EQ(address_fact({.v6 = addresses(std::vector(50, kV6))}).value.v6.size(),
            discovery::kMaxAddressesPerFamily);
}

// No address of one family and no answer about the other: there may well be one.
TEST(AddressFact, TellsErrorsFromAbsence) {
  const auto no = none<dns::Addresses>();
  const auto error = failed<dns::Addresses>();
  EXPECT_TRUE(address_fact({.v4 = no, .v6 = no}).absent());
  EXPECT_TRUE(address_fact({.v4 = no, .v6 = error}).cannot_tell());
  EXPECT_TRUE(address_fact({.v4 = error, .v6 = no}).cannot_tell());
}

TEST(TlsaFact, TellsErrorsFromAbsence) {
  EXPECT_TRUE(tlsa_fact(none<dns::TlsaRecords>()).absent());
  EXPECT_TRUE(tlsa_fact(failed<dns::TlsaRecords>()).cannot_tell());
}

}  // namespace
}  // namespace mtastsd::check
