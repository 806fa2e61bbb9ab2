// A DNS message as the answer to the question in it, and to others.

#include <arpa/nameser.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dns/message.h"
#include "fuzz/require.h"

using namespace mtastsd;
using dns::RecordType;
using fuzz::require;

namespace {

using Message = std::span<const unsigned char>;

constexpr std::size_t kHeader = 12;
constexpr std::size_t kLeastRecord = 11;  // a name of one byte, type, class, TTL and length
constexpr Seconds kMaxTtl{std::numeric_limits<std::int32_t>::max()};

unsigned number_at(Message message, std::size_t at) {
  return at + 1 < message.size() ? message[at] << 8 | message[at + 1] : 0U;
}

// The question's name; nothing where it is compressed or cut short.
std::optional<std::string> question_name(Message message) {
  std::size_t at = kHeader;
  while (at < message.size() && message[at] != 0) {
    if (message[at] >= NS_CMPRSFLGS) {
      return std::nullopt;
    }
    at += 1 + message[at];
  }
  char name[NS_MAXDNAME];
  if (at >= message.size() || ns_name_ntop(message.data() + kHeader, name, sizeof name) < 0) {
    return std::nullopt;
  }
  return name;
}

std::string turned_case(std::string text) {
  for (char& c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    c = letter ? static_cast<char>(c ^ 0x20) : c;
  }
  return text;
}

void check_ttl(Seconds ttl) {
  require(ttl >= Seconds(0) && ttl <= kMaxTtl, "a TTL has 31 bits");
}

void check_texts(const dns::TxtRecords& texts, Message message, RecordType type) {
  require(type == RecordType::Txt, "texts are the answer for texts");
  require(!texts.records.empty() && texts.records.size() <= number_at(message, 6),
          "no more records than the header counts, and one at least");
  std::size_t bytes = kHeader;
  for (const std::string& text : texts.records) {
    bytes += kLeastRecord + text.size() + (text.size() + 254) / 255;
  }
  require(bytes <= message.size(), "no more text than the message can hold");
  check_ttl(texts.ttl);
}

void check_addresses(const dns::Addresses& found, Message message, RecordType type) {
  const std::size_t size = type == RecordType::A ? 4 : 16;
  require(type != RecordType::Txt, "addresses are no answer for texts");
  require(!found.addresses.empty() && found.addresses.size() <= number_at(message, 6),
          "no more addresses than the header counts, and one at least");
  require(kHeader + found.addresses.size() * (kLeastRecord + size) <= message.size(),
          "no more addresses than the message can hold");
  require(std::all_of(found.addresses.begin(), found.addresses.end(),
                      [&](const IpAddress& a) { return a.is_v6() == (type == RecordType::Aaaa); }),
          "addresses of the family that was asked for");
  check_ttl(found.ttl);
}

void check_alias(const dns::Alias& alias, Message message) {
  unsigned char wire[NS_MAXCDNAME];
  require(ns_name_pton(alias.target.c_str(), wire, sizeof wire) >= 0, "the target is a name");
  require(fuzz::fit_to_print(alias.target) || alias.target.size() >= 400, "escaped for people");
  require(alias.target.size() < NS_MAXDNAME, "a name has its bound");
  require(number_at(message, 6) > 0, "an alias comes from an answer");
  check_ttl(alias.ttl);
}

void check_error(const dns::Error& error, Message message) {
  using Kind = dns::ErrorKind;
  require(
      error.kind == Kind::Malformed || error.kind == Kind::ServFail || error.kind == Kind::Refused,
      "only what a message can say");
  require(error.kind != Kind::ServFail || (number_at(message, 2) & 0xf) == ns_r_servfail,
          "SERVFAIL is what the header says");
  require(fuzz::fit_to_print(error.detail), "the detail can be printed");
}

void check_reading(const dns::Reading& reading, Message message, RecordType type) {
  if (!reading) {
    return check_error(reading.error(), message);
  }
  const unsigned flags = number_at(message, 2);
  require((flags & 0x8000) != 0 && (flags & 0x7800) == 0, "only a response to a query is read");
  require((flags & 0x0200) == 0, "what was cut short is not read");
  require((flags & 0xf) == ns_r_noerror || (flags & 0xf) == ns_r_nxdomain,
          "only NOERROR and NXDOMAIN say what there is");
  if (const auto* texts = std::get_if<dns::TxtRecords>(&*reading)) {
    check_texts(*texts, message, type);
  } else if (const auto* addresses = std::get_if<dns::Addresses>(&*reading)) {
    check_addresses(*addresses, message, type);
  } else if (const auto* alias = std::get_if<dns::Alias>(&*reading)) {
    require((flags & 0xf) == ns_r_noerror, "NXDOMAIN is about the end of the chain");
    check_alias(*alias, message);
  } else {
    check_ttl(std::get<dns::NoSuchRecord>(*reading).negative_ttl);
  }
}

bool same(const dns::Reading& a, const dns::Reading& b) {
  if (!a || !b) {
    return a.has_value() == b.has_value() && a.error().kind == b.error().kind &&
           a.error().detail == b.error().detail;
  }
  if (a->index() != b->index()) {
    return false;
  }
  if (const auto* texts = std::get_if<dns::TxtRecords>(&*a)) {
    const auto& other = std::get<dns::TxtRecords>(*b);
    return texts->records == other.records && texts->ttl == other.ttl;
  }
  if (const auto* addresses = std::get_if<dns::Addresses>(&*a)) {
    const auto& other = std::get<dns::Addresses>(*b);
    return addresses->addresses == other.addresses && addresses->ttl == other.ttl;
  }
  if (const auto* alias = std::get_if<dns::Alias>(&*a)) {
    const auto& other = std::get<dns::Alias>(*b);
    return alias->target == other.target && alias->ttl == other.ttl;
  }
  return std::get<dns::NoSuchRecord>(*a).negative_ttl ==
         std::get<dns::NoSuchRecord>(*b).negative_ttl;
}

void check_question(Message message, const std::string& name, RecordType type) {
  const auto reading = dns::read_message(message, name, type);
  check_reading(reading, message, type);
  require(same(reading, dns::read_message(message, turned_case(name), type)),
          "a name's case means nothing");
  if (name.size() > 1 && name.find('\\') == std::string::npos) {
    require(same(reading, dns::read_message(message, name + '.', type)),
            "a final dot means nothing");
  }
  if (reading) {
    const auto cut = dns::read_message(message.first(message.size() - 1), name, type);
    require(!cut && cut.error().kind == dns::ErrorKind::Malformed,
            "a message that lacks its last byte cannot be read");
    for (const RecordType wrong : {RecordType::A, RecordType::Txt, RecordType::Aaaa}) {
      require(wrong == type || !dns::read_message(message, name, wrong),
              "the answer to a question of one type is none for another");
    }
    require(!dns::read_message(message, name + 'x', type),
            "the answer for one name is none for another");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Message message(data, size);
  const auto name = question_name(message);
  for (const RecordType type : {RecordType::A, RecordType::Txt, RecordType::Aaaa}) {
    check_question(message, name.value_or("example.com"), type);
  }
  return 0;
}
