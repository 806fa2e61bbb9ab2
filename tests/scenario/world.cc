#include "scenario/world.h"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <utility>

#include "mtastsd/https/response_rules.h"

namespace mtastsd::test {
namespace {

constexpr Seconds kNegativeTtl{300};
constexpr Milliseconds kUsualTtl{60'000};
constexpr Milliseconds kDnsGivesUpAfter{5000};
constexpr std::string_view kDiscovery = "_mta-sts.";
constexpr std::string_view kPolicyHost = "mta-sts.";

// Takes " NAME VALUE" off the end of `words`.
std::optional<std::string> take_option(std::string& words, const std::string& name) {
  const std::string marker = " " + name + " ";
  const auto at = (" " + words).rfind(marker);
  if (at == std::string::npos) {
    return std::nullopt;
  }
  std::string value = words.substr(at + marker.size() - 1);
  if (value.find(' ') != std::string::npos) {
    return std::nullopt;
  }
  words.erase(at == 0 ? 0 : at - 1);
  return value;
}

std::optional<dns::ErrorKind> dns_fault(const std::string& word) {
  static const std::map<std::string, dns::ErrorKind> kinds = {
      {"SERVFAIL", dns::ErrorKind::ServFail},   {"REFUSED", dns::ErrorKind::Refused},
      {"TIMEOUT", dns::ErrorKind::Timeout},     {"UNREACHABLE", dns::ErrorKind::NoServer},
      {"MALFORMED", dns::ErrorKind::Malformed},
  };
  const auto it = kinds.find(word);
  return it == kinds.end() ? std::nullopt : std::optional(it->second);
}

std::optional<https::ErrorKind> https_fault(const std::string& word) {
  static const std::map<std::string, https::ErrorKind> kinds = {
      {"refused", https::ErrorKind::Connect}, {"certificate", https::ErrorKind::Certificate},
      {"tls", https::ErrorKind::Tls},         {"reset", https::ErrorKind::Protocol},
      {"cut", https::ErrorKind::Protocol},
  };
  const auto it = kinds.find(word);
  return it == kinds.end() ? std::nullopt : std::optional(it->second);
}

template <typename Answer>
Script<Answer> always(Answer answer, Milliseconds after = Milliseconds(1)) {
  return {after, [answer = std::move(answer)] { return answer; }};
}

template <typename Answer>
Script<Answer> dns_failure(dns::ErrorKind kind) {
  const bool waits = kind == dns::ErrorKind::Timeout;
  return always(Answer(failure(dns::Error{kind, "scripted"})),
                waits ? kDnsGivesUpAfter : Milliseconds(1));
}

// An answer of which DNSSEC says that.
template <typename Answer>
Script<Answer> with_security(Answer answer, dns::Security security) {
  answer.provenance.security = security;
  return always(std::move(answer));
}

template <typename Answer>
Script<Answer> signed_denial(Seconds ttl = kNegativeTtl) {
  return with_security(Answer(dns::NoSuchRecord{ttl}), dns::Security::Secure);
}

// By the rules for responses, as the fetcher applies them to what comes from the wire.
https::FetchResult respond(const std::string& status, const std::string& type,
                           const std::string& body) {
  if (auto refused = https::refusal({.status = std::stoi(status), .content_types = {type}})) {
    return failure(*std::move(refused));
  }
  if (body.size() > https::kMaxBodyBytes) {
    return failure(https::Error{https::ErrorKind::TooLarge, "scripted"});
  }
  return https::PolicyBody{body};
}

}  // namespace

Milliseconds parse_time(const std::string& text) {
  static const std::map<std::string, std::int64_t> units = {
      {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  Milliseconds total{0};
  auto at = text.begin();
  while (at != text.end()) {
    const auto digits_end = std::find_if_not(at, text.end(), is_digit);
    const auto unit_end = std::find_if(digits_end, text.end(), is_digit);
    const auto unit = units.find(std::string(digits_end, unit_end));
    if (digits_end == at || unit == units.end()) {
      return Milliseconds(-1);
    }
    total += Milliseconds(std::stoll(std::string(at, digits_end)) * unit->second);
    at = unit_end;
  }
  return text.empty() ? Milliseconds(-1) : total;
}

ScriptedWorld::ScriptedWorld(FakeLoop& loop) : dns(loop), fetcher(loop) {
  dns.on_txt = [this](const std::string& name) {
    asked.push_back(name);
    const auto it = txt_.find(name);
    return it != txt_.end() ? it->second : always(dns::TxtAnswer(dns::NoSuchRecord{kNegativeTtl}));
  };
  dns.on_address = [this](const std::string& name, bool v6) {
    asked.push_back(name);
    const auto it = hosts_.find(name);
    if (it != hosts_.end()) {
      return it->second;
    }
    return v6 ? signed_denial<dns::AddressAnswer>()
              : with_security(dns::AddressAnswer(
                                  dns::Addresses{{*IpAddress::parse("192.0.2.1")}, Seconds(3600)}),
                              dns::Security::Secure);
  };
  dns.on_mx = [this](const std::string& name) {
    asked.push_back("MX " + name);
    const auto it = mx_.find(name);
    return it != mx_.end() ? it->second : signed_denial<dns::Answer<dns::MxRecords>>();
  };
  dns.on_tlsa = [this](const std::string& name) {
    asked.push_back(name);
    const auto it = tlsa_.find(name);
    return it != tlsa_.end() ? it->second : signed_denial<dns::Answer<dns::TlsaRecords>>();
  };
  fetcher.on_fetch = [this](const DomainName& policy_host) {
    const std::string host = policy_host.str();
    fetched.push_back(host.substr(kPolicyHost.size()));
    const auto it = https_.find(host);
    return it != https_.end() ? it->second
                              : always(https::FetchResult(
                                    failure(https::Error{https::ErrorKind::Connect, "refused"})));
  };
}

std::string ScriptedWorld::set_txt(const std::string& domain, std::string words,
                                   const std::vector<std::string>& body) {
  const auto ttl_text = take_option(words, "ttl");
  const Milliseconds ttl = ttl_text ? parse_time(*ttl_text) : Milliseconds(60'000);
  if (ttl < Milliseconds(0)) {
    return "no time: " + *ttl_text;
  }
  const Seconds seconds = std::chrono::floor<Seconds>(ttl);
  auto& script = txt_[std::string(kDiscovery) + domain];
  if (words == "NXDOMAIN" || words == "NODATA") {
    script = always(dns::TxtAnswer(dns::NoSuchRecord{ttl_text ? seconds : kNegativeTtl}));
  } else if (const auto fault = dns_fault(words)) {
    script = dns_failure<dns::TxtAnswer>(*fault);
  } else if (!words.empty() && body.empty()) {
    script = always(dns::TxtAnswer(dns::TxtRecords{{words}, seconds}));
  } else if (words.empty() && !body.empty()) {
    script = always(dns::TxtAnswer(dns::TxtRecords{body, seconds}));
  } else {
    return "one record on the line, or several below it";
  }
  return {};
}

std::string ScriptedWorld::set_host(const std::string& domain, const std::string& words) {
  auto& script = hosts_[std::string(kPolicyHost) + domain];
  if (words == "NXDOMAIN" || words == "NODATA") {
    script = always(dns::AddressAnswer(dns::NoSuchRecord{kNegativeTtl}));
    return {};
  }
  if (const auto fault = dns_fault(words)) {
    script = dns_failure<dns::AddressAnswer>(*fault);
    return {};
  }
  dns::Addresses found{{}, Seconds(60)};
  std::istringstream in(words);
  for (std::string word; in >> word;) {
    const auto address = IpAddress::parse(word);
    if (!address) {
      return "no address: " + word;
    }
    found.addresses.push_back(*address);
  }
  script = always(dns::AddressAnswer(std::move(found)));
  return {};
}

std::string ScriptedWorld::set_mx(const std::string& domain, std::string words) {
  const auto ttl_text = take_option(words, "ttl");
  const Milliseconds ttl = ttl_text ? parse_time(*ttl_text) : kUsualTtl;
  if (ttl < Milliseconds(0)) {
    return "no time: " + *ttl_text;
  }
  auto& script = mx_[domain];
  if (const auto fault = dns_fault(words)) {
    script = dns_failure<dns::Answer<dns::MxRecords>>(*fault);
    return {};
  }
  dns::MxRecords found;
  found.ttl = std::chrono::floor<Seconds>(ttl);
  auto security = dns::Security::Secure;
  std::istringstream in(words);
  for (std::string word; in >> word;) {
    if (word == "unsigned") {
      security = dns::Security::Insecure;
    } else {
      found.records.push_back({static_cast<std::uint16_t>(10 * (found.records.size() + 1)), word});
    }
  }
  script = with_security(dns::Answer<dns::MxRecords>(std::move(found)), security);
  return {};
}

std::string ScriptedWorld::set_tlsa(const std::string& host, std::string words) {
  const auto ttl_text = take_option(words, "ttl");
  const Milliseconds ttl = ttl_text ? parse_time(*ttl_text) : kUsualTtl;
  if (ttl < Milliseconds(0)) {
    return "no time: " + *ttl_text;
  }
  const Seconds seconds = std::chrono::floor<Seconds>(ttl);
  auto& script = tlsa_["_25._tcp." + host];
  if (words == "NXDOMAIN" || words == "NODATA") {
    script = signed_denial<dns::Answer<dns::TlsaRecords>>(seconds);
    return {};
  }
  if (const auto fault = dns_fault(words)) {
    script = dns_failure<dns::Answer<dns::TlsaRecords>>(*fault);
    return {};
  }
  std::array<unsigned, 3> numbers{};  // usage, selector, matching type
  std::istringstream in(words);
  if (!(in >> numbers[0] >> numbers[1] >> numbers[2])) {
    return "neither \"3 1 1\" nor a fault: " + words;
  }
  dns::TlsaRecords found;
  found.ttl = seconds;
  found.records.push_back({static_cast<std::uint8_t>(numbers[0]),
                           static_cast<std::uint8_t>(numbers[1]),
                           static_cast<std::uint8_t>(numbers[2]), std::string(32, 'x')});
  script = with_security(dns::Answer<dns::TlsaRecords>(std::move(found)), dns::Security::Secure);
  return {};
}

std::string ScriptedWorld::set_https(const std::string& domain, std::string words,
                                     const std::vector<std::string>& body) {
  const auto delay_text = take_option(words, "delay");
  const auto size_text = take_option(words, "size");
  const auto type = take_option(words, "type");
  const Milliseconds delay = delay_text ? parse_time(*delay_text) : Milliseconds(5);
  if (delay < Milliseconds(0)) {
    return "no time: " + *delay_text;
  }
  auto& script = https_[std::string(kPolicyHost) + domain];
  if (words == "blackhole") {
    script = {};
  } else if (const auto fault = https_fault(words)) {
    script = always(https::FetchResult(failure(https::Error{*fault, "scripted: " + words})), delay);
  } else if (words.size() == 3 &&
             std::all_of(words.begin(), words.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    std::string text;
    for (const std::string& line : body) {
      text += line + "\n";
    }
    if (size_text) {
      text.resize(std::stoul(*size_text), 'x');
    }
    script = always(respond(words, type.value_or("text/plain"), text), delay);
  } else {
    return "neither a status nor a fault: " + words;
  }
  return {};
}

}  // namespace mtastsd::test
