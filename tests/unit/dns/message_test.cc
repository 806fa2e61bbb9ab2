#include "message.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <string>

#include "packet.h"

namespace mtastsd::dns {
namespace {

using test::Bytes;
using test::Packet;

constexpr char kName[] = "_mta-sts.example.com";

// The message lies in a heap block of exactly its size, so that a read past its end shows.
Reading read(const Bytes& bytes, RecordType type = RecordType::Txt, std::string_view name = kName) {
  const std::unique_ptr<unsigned char[]> exact(new unsigned char[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), exact.get());
  return read_message({exact.get(), bytes.size()}, name, type);
}

Reading read(const Packet& packet, RecordType type = RecordType::Txt,
             std::string_view name = kName) {
  return read(packet.bytes(), type, name);
}

TxtRecords texts(const Reading& reading) {
  if (!reading || !std::holds_alternative<TxtRecords>(*reading)) {
    ADD_FAILURE() << "no TXT records";
    return {};
  }
  return std::get<TxtRecords>(*reading);
}

Seconds negative_ttl(const Reading& reading) {
  if (!reading || !std::holds_alternative<NoSuchRecord>(*reading)) {
    ADD_FAILURE() << "not NoSuchRecord";
    return Seconds(-1);
  }
  return std::get<NoSuchRecord>(*reading).negative_ttl;
}

ErrorKind error(const Reading& reading) {
  if (reading) {
    ADD_FAILURE() << "not an error";
    return ErrorKind::TooMany;
  }
  return reading.error().kind;
}

TEST(ReadMessage, JoinsTheStringsOfOneRecordWithoutSpaces) {  // RFC 8461 section 3.1
  const auto got = texts(read(Packet(kName, 16).txt(kName, 300, {"v=STSv1; ", "id=", "1;"})));
  EXPECT_EQ(got.records, std::vector<std::string>{"v=STSv1; id=1;"});
  EXPECT_EQ(got.ttl, Seconds(300));
}

TEST(ReadMessage, KeepsRecordsApartAndTakesTheSmallestTtl) {
  const auto got = texts(read(Packet(kName, 16).txt(kName, 300, {"a"}).txt(kName, 60, {"b"})));
  EXPECT_EQ(got.records, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(got.ttl, Seconds(60));
}

TEST(ReadMessage, ComparesNamesWithoutCaseAndFinalDot) {
  const auto packet = Packet("_MTA-STS.example.COM", 16).txt("_mta-sts.EXAMPLE.com", 1, {"a"});
  EXPECT_EQ(texts(read(packet)).records.size(), 1U);
  EXPECT_EQ(texts(read(packet, RecordType::Txt, "_mta-sts.example.com.")).records.size(), 1U);
}

TEST(ReadMessage, ReadsAddresses) {
  const auto a = read(Packet("h.example", 1)
                          .answer("h.example", 1, 30, test::a_rdata("192.0.2.1"))
                          .answer("h.example", 1, 20, test::a_rdata("192.0.2.2")),
                      RecordType::A, "h.example");
  ASSERT_TRUE(a && std::holds_alternative<Addresses>(*a));
  EXPECT_EQ(std::get<Addresses>(*a).addresses.size(), 2U);
  EXPECT_EQ(std::get<Addresses>(*a).addresses[1].str(), "192.0.2.2");
  EXPECT_EQ(std::get<Addresses>(*a).ttl, Seconds(20));
  const auto aaaa =
      read(Packet("h.example", 28).answer("h.example", 28, 30, test::aaaa_rdata("2001:db8::1")),
           RecordType::Aaaa, "h.example");
  ASSERT_TRUE(aaaa && std::holds_alternative<Addresses>(*aaaa));
  EXPECT_EQ(std::get<Addresses>(*aaaa).addresses.at(0).str(), "2001:db8::1");
}

TEST(ReadMessage, FollowsACnameChainInAnyOrderAndTakesItsTtl) {
  const auto got = texts(read(Packet(kName, 16)
                                  .txt("c.example", 300, {"found"})
                                  .cname("b.example", 20, "c.example")
                                  .cname(kName, 100, "B.example")));
  EXPECT_EQ(got.records, std::vector<std::string>{"found"});
  EXPECT_EQ(got.ttl, Seconds(20));
}

TEST(ReadMessage, IgnoresRecordsOfOtherNamesAndTypes) {
  const auto got = texts(read(Packet(kName, 16)
                                  .txt("other.example", 1, {"no"})
                                  .answer(kName, 46, 1, Bytes(20))  // RRSIG
                                  .txt(kName, 300, {"yes"})));
  EXPECT_EQ(got.records, std::vector<std::string>{"yes"});
  EXPECT_EQ(got.ttl, Seconds(300));
}

TEST(ReadMessage, CnameWithoutItsTargetIsAnAliasUnlessASoaSaysThereIsNothing) {
  auto packet = Packet(kName, 16).cname(kName, 50, "x.example").cname("x.example", 40, "y.example");
  const auto open = read(packet);
  ASSERT_TRUE(open && std::holds_alternative<Alias>(*open));
  EXPECT_EQ(std::get<Alias>(*open).target, "y.example");
  EXPECT_EQ(std::get<Alias>(*open).ttl, Seconds(40));
  EXPECT_EQ(negative_ttl(read(packet.soa(600, 30))), Seconds(30));
}

TEST(ReadMessage, CnameLoopIsMalformed) {
  EXPECT_EQ(error(read(Packet(kName, 16)
                           .cname(kName, 1, "a.example")
                           .cname("a.example", 1, "b.example")
                           .cname("b.example", 1, kName))),
            ErrorKind::Malformed);
  EXPECT_EQ(error(read(Packet(kName, 16).cname(kName, 1, kName))), ErrorKind::Malformed);
}

TEST(ReadMessage, ChainOfSixteenIsReadAndSeventeenIsMalformed) {
  for (const int length : {16, 17}) {
    Packet packet(kName, 16);
    std::string owner = kName;
    for (int i = 0; i < length; ++i) {
      const std::string target = "n" + std::to_string(i) + ".example";
      packet.cname(owner, 10, target);
      owner = target;
    }
    packet.txt(owner, 10, {"end"});
    if (length == 16) {
      EXPECT_EQ(texts(read(packet)).records.size(), 1U);
    } else {
      EXPECT_EQ(error(read(packet)), ErrorKind::Malformed);
    }
  }
}

TEST(ReadMessage, NegativeTtlIsTheSmallerOfSoaTtlAndMinimum) {  // RFC 2308 section 5
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16, 3).soa(600, 300))), Seconds(300));
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16, 3).soa(100, 300))), Seconds(100));
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16).soa(100, 300))), Seconds(100));
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16, 3))), Seconds(0));
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16))), Seconds(0));
}

TEST(ReadMessage, NxdomainOfACnamesTargetIsNoSuchRecord) {  // RFC 2308 section 2.1
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16, 3).cname(kName, 40, "x.example").soa(600, 300))),
            Seconds(40));
}

TEST(ReadMessage, TtlWithTheTopBitSetIsZero) {  // RFC 2181 section 8
  EXPECT_EQ(texts(read(Packet(kName, 16).txt(kName, 0x80000000U, {"a"}))).ttl, Seconds(0));
  EXPECT_EQ(texts(read(Packet(kName, 16).txt(kName, 0x7fffffffU, {"a"}))).ttl, Seconds(0x7fffffff));
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16, 3).soa(600, 0xffffffffU))), Seconds(0));
}

TEST(ReadMessage, ReferralIsNotNoSuchRecord) {  // RFC 2308 section 2.2
  EXPECT_EQ(
      error(read(Packet(kName, 16).authority("example", 2, 60, test::name_bytes("ns.example")))),
      ErrorKind::Refused);
}

TEST(ReadMessage, ResponseCodesThatAreNoAnswer) {
  EXPECT_EQ(error(read(Packet(kName, 16, 2))), ErrorKind::ServFail);
  EXPECT_EQ(error(read(Packet(kName, 16, 1))), ErrorKind::NotUnderstood);
  EXPECT_EQ(error(read(Packet(kName, 16, 4))), ErrorKind::NotUnderstood);
  EXPECT_EQ(error(read(Packet(kName, 16, 5))), ErrorKind::Refused);
  EXPECT_EQ(error(read(Packet(kName, 16, 9))), ErrorKind::Refused);
}

// What a forwarder makes of an answer when it moves records between the sections, or counts the
// sections anew.
TEST(ReadMessage, AMangledMessageIsNoDenial) {  // RFC 2308 section 2
  const Bytes nothing;
  const Bytes text = test::txt_rdata({"v=STSv1; id=1;"});
  const auto plain = [](unsigned rcode = 0) { return Packet(kName, 16, rcode); };
  const struct {
    const char* what;
    Packet packet;
  } kCases[] = {
      {"OPT in the answer, the record behind it",
       plain().answer("", 41, 0, nothing).additional(kName, 16, 60, text)},
      {"OPT in the answer", plain().answer("", 41, 0, nothing).soa(60, 60)},
      {"OPT in the authority section", plain(3).authority("", 41, 0, nothing).soa(60, 60)},
      {"the record in the authority section", plain().authority(kName, 16, 60, text)},
      {"the record in the additional section",
       plain(3).soa(60, 60).additional(kName, 16, 60, text)},
      {"the record of another name", plain().txt("other.example", 60, {"x"})},
      {"another type at the name", plain().answer(kName, 1, 60, test::a_rdata("192.0.2.1"))},
      {"the record of an alias's target",
       plain().cname(kName, 60, "a.example").soa(60, 60).additional("A.example", 16, 60, text)},
  };
  for (const auto& row : kCases) {
    SCOPED_TRACE(row.what);
    EXPECT_EQ(error(read(row.packet)), ErrorKind::Malformed);
  }
}

TEST(ReadMessage, ACleanDenialMayHaveOptAndSignatures) {
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16, 3)
                                  .soa(600, 300)
                                  .authority("example", 46, 600, Bytes(20))  // RRSIG
                                  .additional("", 41, 0, {}))),
            Seconds(300));
  EXPECT_EQ(negative_ttl(read(Packet(kName, 16)
                                  .answer("example.com", 39, 70, test::name_bytes("b.example"))
                                  .cname(kName, 70, "_mta-sts.b.example")
                                  .soa(600, 300))),
            Seconds(70));
}

TEST(ReadMessage, BadversIsNoDenial) {  // RFC 6891 section 6.1.3
  EXPECT_EQ(error(read(Packet(kName, 16).additional("", 41, 0x01000000, {}))),
            ErrorKind::NotUnderstood);
}

TEST(ReadMessage, AnErrorMayComeWithoutAQuestion) {  // RFC 6891 section 7
  for (const unsigned rcode : {1U, 4U}) {
    Bytes bytes = Packet(kName, 16, rcode).bytes();
    bytes.resize(NS_HFIXEDSZ);
    bytes[5] = 0;
    EXPECT_EQ(error(read(bytes)), ErrorKind::NotUnderstood);
  }
  Bytes bytes = Packet(kName, 16, 3).bytes();
  bytes.resize(NS_HFIXEDSZ);
  bytes[5] = 0;
  EXPECT_EQ(error(read(bytes)), ErrorKind::Malformed);
}

TEST(ReadMessage, MessageCutShortIsNotTheWholeSet) {
  EXPECT_EQ(error(read(Packet(kName, 16).txt(kName, 1, {"a"}).truncated())), ErrorKind::Malformed);
}

TEST(ReadMessage, QueriesAndAnswersToOtherQuestionsAreMalformed) {
  EXPECT_EQ(error(read(Packet(kName, 16).query())), ErrorKind::Malformed);
  EXPECT_EQ(error(read(Packet("x.example", 16))), ErrorKind::Malformed);
  EXPECT_EQ(error(read(Packet(kName, 1))), ErrorKind::Malformed);
}

TEST(ReadMessage, BadRecordDataIsMalformed) {
  EXPECT_EQ(error(read(Packet(kName, 16).answer(kName, 16, 1, {5, 'a', 'b'}))),
            ErrorKind::Malformed);
  EXPECT_EQ(error(read(Packet("h.example", 1).answer("h.example", 1, 1, Bytes(5)), RecordType::A,
                       "h.example")),
            ErrorKind::Malformed);
  EXPECT_EQ(error(read(Packet("h.example", 28).answer("h.example", 28, 1, Bytes(4)),
                       RecordType::Aaaa, "h.example")),
            ErrorKind::Malformed);
  EXPECT_EQ(error(read(Packet(kName, 16, 3).authority("example", 6, 1, Bytes(3)))),
            ErrorKind::Malformed);
  EXPECT_EQ(error(read(Packet(kName, 16).answer(kName, 5, 1, {0xc0, 0xff}))), ErrorKind::Malformed);
}

TEST(ReadMessage, EveryCutOfAMessageIsAnErrorAndNothingIsReadBeyondIt) {
  const auto whole =
      Packet(kName, 16).cname(kName, 9, "a.example").txt("a.example", 9, {"abc", "def"}).soa(1, 1);
  for (std::size_t size = 0; size < whole.bytes().size(); ++size) {
    const Bytes cut(whole.bytes().begin(), whole.bytes().begin() + static_cast<long>(size));
    EXPECT_EQ(error(read(cut)), ErrorKind::Malformed) << size;
  }
}

TEST(ReadMessage, AnyOneByteChangedIsSurvived) {
  const auto whole =
      Packet(kName, 16).cname(kName, 9, "a.example").txt("a.example", 9, {"abc", "def"}).soa(1, 1);
  for (std::size_t at = 0; at < whole.bytes().size(); ++at) {
    for (const unsigned char value : {0x00, 0x01, 0x3f, 0x40, 0x7f, 0xc0, 0xff}) {
      Bytes changed = whole.bytes();
      changed[at] = value;
      static_cast<void>(read(changed));
    }
  }
}

TEST(ReadMessage, CompressionLoopIsMalformed) {
  Bytes bytes = Packet(kName, 16).bytes();
  bytes[7] = 1;  // one answer, whose owner points at itself
  const auto here = static_cast<unsigned>(bytes.size());
  test::put16(bytes, 0xc000U | here);
  test::put16(bytes, 16);
  test::put16(bytes, 1);
  test::put32(bytes, 60);
  test::put16(bytes, 0);
  EXPECT_EQ(error(read(bytes)), ErrorKind::Malformed);
}

// Of this thread: others at work on the machine do not count.
std::chrono::nanoseconds processor_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// 4 times the records may take some 4 times as long, not 16 times.
TEST(ReadMessage, WorkIsLinearInTheNumberOfRecords) {
  const auto measure = [](int records) {
    Packet packet("a.b", 16);
    for (int i = 0; i < records; ++i) {
      packet.txt("a.b", 1, {"x"});
    }
    auto best = std::chrono::nanoseconds::max();
    for (int round = 0; round < 7; ++round) {
      const auto start = processor_time();
      EXPECT_EQ(texts(read(packet, RecordType::Txt, "a.b")).records.size(),
                static_cast<std::size_t>(records));
      best = std::min(best, processor_time() - start);
    }
    return best;
  };
  EXPECT_LT(measure(3200), 10 * measure(800));
}

}  // namespace
}  // namespace mtastsd::dns
