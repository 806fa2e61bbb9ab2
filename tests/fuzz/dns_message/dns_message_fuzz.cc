// A DNS message as the answer to the question in it, and to others.

#include <arpa/nameser.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "message.h"

using namespace mtastsd;
using dns::RecordType;
using fuzz::require;

namespace {

using Message = std::span<const unsigned char>;

constexpr std::size_t kHeader = 12;
constexpr std::size_t kLeastRecord = 11;  // a name of one byte, type, class, TTL and length
constexpr RecordType kTypes[] = {RecordType::A, RecordType::Mx, RecordType::Txt, RecordType::Aaaa,
                                 RecordType::Tlsa};
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
  require(type == RecordType::A || type == RecordType::Aaaa, "addresses are what was asked for");
  require(!found.addresses.empty() && found.addresses.size() <= number_at(message, 6),
          "no more addresses than the header counts, and one at least");
  require(kHeader + found.addresses.size() * (kLeastRecord + size) <= message.size(),
          "no more addresses than the message can hold");
  require(std::all_of(found.addresses.begin(), found.addresses.end(),
                      [&](const IpAddress& a) { return a.is_v6() == (type == RecordType::Aaaa); }),
          "addresses of the family that was asked for");
  check_ttl(found.ttl);
}

void check_name(const std::string& name) {
  unsigned char wire[NS_MAXCDNAME];
  require(ns_name_pton(name.c_str(), wire, sizeof wire) >= 0, "what is said to be a name is one");
  require(fuzz::fit_to_print(name) || name.size() >= 400, "escaped for people");
  require(name.size() < NS_MAXDNAME, "a name has its bound");
}

void check_mx(const dns::MxRecords& mx, Message message, RecordType type) {
  require(type == RecordType::Mx, "hosts for mail are what was asked for");
  require(!mx.records.empty() && mx.records.size() <= number_at(message, 6),
          "no more hosts than the header counts, and one at least");
  require(kHeader + mx.records.size() * (kLeastRecord + 3) <= message.size(),
          "no more hosts than the message can hold");
  for (const dns::Mx& record : mx.records) {
    check_name(record.host);
  }
  check_ttl(mx.ttl);
}

void check_tlsa(const dns::TlsaRecords& tlsa, Message message, RecordType type) {
  require(type == RecordType::Tlsa, "DANE is what was asked for");
  require(!tlsa.records.empty() && tlsa.records.size() <= number_at(message, 6),
          "no more of DANE than the header counts, and one at least");
  std::size_t bytes = kHeader;
  for (const dns::Tlsa& record : tlsa.records) {
    require(!record.data.empty(), "an association has data");
    bytes += kLeastRecord + 3 + record.data.size();
  }
  require(bytes <= message.size(), "no more data than the message can hold");
  check_ttl(tlsa.ttl);
}

void check_alias(const dns::Alias& alias, Message message) {
  check_name(alias.target);
  require(number_at(message, 6) > 0, "an alias comes from an answer");
  check_ttl(alias.ttl);
}

void check_error(const dns::Error& error, Message message) {
  using Kind = dns::ErrorKind;
  require(error.kind == Kind::Malformed || error.kind == Kind::ServFail ||
              error.kind == Kind::Refused || error.kind == Kind::NotUnderstood,
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
  } else if (const auto* mx = std::get_if<dns::MxRecords>(&*reading)) {
    check_mx(*mx, message, type);
  } else if (const auto* tlsa = std::get_if<dns::TlsaRecords>(&*reading)) {
    check_tlsa(*tlsa, message, type);
  } else if (const auto* alias = std::get_if<dns::Alias>(&*reading)) {
    require((flags & 0xf) == ns_r_noerror, "NXDOMAIN is about the end of the chain");
    check_alias(*alias, message);
  } else {
    check_ttl(std::get<dns::NoSuchRecord>(*reading).negative_ttl);
  }
}

bool same(const dns::MxRecords& a, const dns::MxRecords& b) {
  return a.ttl == b.ttl && std::equal(a.records.begin(), a.records.end(), b.records.begin(),
                                      b.records.end(), [](const dns::Mx& x, const dns::Mx& y) {
                                        return x.preference == y.preference && x.host == y.host;
                                      });
}

bool same(const dns::TlsaRecords& a, const dns::TlsaRecords& b) {
  return a.ttl == b.ttl && std::equal(a.records.begin(), a.records.end(), b.records.begin(),
                                      b.records.end(), [](const dns::Tlsa& x, const dns::Tlsa& y) {
                                        return x.usage == y.usage && x.selector == y.selector &&
                                               x.matching == y.matching && x.data == y.data;
                                      });
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
  if (const auto* mx = std::get_if<dns::MxRecords>(&*a)) {
    return same(*mx, std::get<dns::MxRecords>(*b));
  }
  if (const auto* tlsa = std::get_if<dns::TlsaRecords>(&*a)) {
    return same(*tlsa, std::get<dns::TlsaRecords>(*b));
  }
  if (const auto* alias = std::get_if<dns::Alias>(&*a)) {
    const auto& other = std::get<dns::Alias>(*b);
    return alias->target == other.target && alias->ttl == other.ttl;
  }
  return std::get<dns::NoSuchRecord>(*a).negative_ttl ==
         std::get<dns::NoSuchRecord>(*b).negative_ttl;
}

void check_provenance(Message message, const std::string& name, RecordType type,
                      const dns::Reading& reading) {
  dns::Provenance provenance;
  require(same(reading, dns::read_message(message, name, type, &provenance)),
          "noting how it came about changes no answer");
  require(provenance.chain.size() <= dns::kMaxChain, "a chain has its bound");
  std::for_each(provenance.chain.begin(), provenance.chain.end(), check_name);
  const unsigned flags = number_at(message, 2);
  require(!reading || provenance.authenticated == ((flags & 0x0020) != 0),
          "validated is what the header says");
  require(!reading || provenance.no_such_name == ((flags & 0xf) == ns_r_nxdomain),
          "so is that there is no such name");
}

void check_question(Message message, const std::string& name, RecordType type) {
  const auto reading = dns::read_message(message, name, type);
  check_reading(reading, message, type);
  check_provenance(message, name, type, reading);
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
    for (const RecordType wrong : kTypes) {
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
  for (const RecordType type : kTypes) {
    check_question(message, name.value_or("example.com"), type);
  }
  return 0;
}
