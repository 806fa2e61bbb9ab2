#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mtastsd/dns/dns_client.h"
#include "mtastsd/event/loop.h"

namespace mtastsd::test {

// A DNS client that is a few maps. Answers come on a later turn of the loop, after `delay`; a name
// without an entry does not exist; with `silent` nothing is ever answered.
class FakeDns final : public dns::DnsClient {
 public:
  explicit FakeDns(event::Timers& timers) : timers_(timers) {}

  std::map<std::string, dns::TxtAnswer> txt_records;
  std::map<std::string, dns::AddressAnswer> a_records;
  std::map<std::string, dns::AddressAnswer> aaaa_records;
  std::map<std::string, dns::Answer<dns::MxRecords>> mx_records;
  std::map<std::string, dns::Answer<dns::TlsaRecords>> tlsa_records;
  // What DNSSEC says of an answer that does not say so itself: Secure below these, or
  // `unsigned_is`.
  std::set<std::string> signed_zones;
  dns::Security unsigned_is = dns::Security::Insecure;
  std::vector<std::string> asked;  // "TXT name", "A name", "AAAA name"
  Milliseconds delay{1};
  std::optional<Milliseconds> aaaa_delay;  // of AAAA alone
  Seconds negative_ttl{300};
  bool silent = false;
  std::set<std::string> silent_names;  // these time out, after `silence`
  Milliseconds silence{10000};

  void set_txt(const std::string& domain, const std::string& record, Seconds ttl) {
    txt_records.insert_or_assign("_mta-sts." + domain,
                                 dns::TxtAnswer(dns::TxtRecords{{record}, ttl}));
  }
  void fail_txt(const std::string& domain, dns::ErrorKind kind) {
    txt_records.insert_or_assign("_mta-sts." + domain,
                                 dns::TxtAnswer(failure(dns::Error{kind, "scripted"})));
  }
  void remove_txt(const std::string& domain) { txt_records.erase("_mta-sts." + domain); }
  void set_a(const std::string& name, const std::string& address) {
    a_records.insert_or_assign(
        name, dns::AddressAnswer(dns::Addresses{{*IpAddress::parse(address)}, Seconds(60)}));
  }

  dns::Handle txt(const std::string& name, dns::Callback<dns::TxtRecords> callback) override {
    asked.push_back("TXT " + name);
    return answer(txt_records, name, std::move(callback), delay);
  }
  dns::Handle a(const std::string& name, dns::Callback<dns::Addresses> callback) override {
    asked.push_back("A " + name);
    return answer(a_records, name, std::move(callback), delay);
  }
  dns::Handle aaaa(const std::string& name, dns::Callback<dns::Addresses> callback) override {
    asked.push_back("AAAA " + name);
    return answer(aaaa_records, name, std::move(callback), aaaa_delay.value_or(delay));
  }
  dns::Handle mx(const std::string& name, dns::Callback<dns::MxRecords> callback) override {
    asked.push_back("MX " + name);
    return answer(mx_records, name, std::move(callback), delay);
  }
  dns::Handle tlsa(const std::string& name, dns::Callback<dns::TlsaRecords> callback) override {
    asked.push_back("TLSA " + name);
    return answer(tlsa_records, name, std::move(callback), delay);
  }

  void set_mx(const std::string& domain, const std::vector<std::string>& hosts,
              Seconds ttl = Seconds(300)) {
    dns::MxRecords mx;
    mx.ttl = ttl;
    for (const std::string& host : hosts) {
      mx.records.push_back({static_cast<std::uint16_t>(10 + mx.records.size()), host});
    }
    mx_records.insert_or_assign(domain, dns::Answer<dns::MxRecords>(std::move(mx)));
  }
  // One for SMTP with a digest that is right for no certificate.
  void set_tlsa(const std::string& host, Seconds ttl = Seconds(300), unsigned port = 25) {
    dns::TlsaRecords tlsa;
    tlsa.ttl = ttl;
    tlsa.records.push_back({3, 1, 1, std::string(32, 'x')});
    tlsa_records.insert_or_assign("_" + std::to_string(port) + "._tcp." + host,
                                  dns::Answer<dns::TlsaRecords>(std::move(tlsa)));
  }
  void fail_tlsa(const std::string& host) {
    tlsa_records.insert_or_assign(
        "_25._tcp." + host,
        dns::Answer<dns::TlsaRecords>(failure(dns::Error{dns::ErrorKind::ServFail, "scripted"})));
  }
  std::size_t count(const std::string& question) const {
    return static_cast<std::size_t>(std::count(asked.begin(), asked.end(), question));
  }

 private:
  struct FakeQuery : dns::Query {
    std::unique_ptr<event::Timer> timer;
  };

  dns::Security security_of(const std::string& name) const {
    const bool is_signed = std::any_of(
        signed_zones.begin(), signed_zones.end(),
        [&](const std::string& zone) { return name == zone || name.ends_with("." + zone); });
    return is_signed ? dns::Security::Secure : unsigned_is;
  }

  template <typename T>
  dns::Handle answer(const std::map<std::string, dns::Answer<T>>& records, const std::string& name,
                     dns::Callback<T> callback, Milliseconds after) {
    auto query = std::make_unique<FakeQuery>();
    if (silent) {
      return query;
    }
    const auto found = records.find(name);
    dns::Answer<T> result =
        found != records.end() ? found->second : dns::Answer<T>(dns::NoSuchRecord{negative_ttl});
    if (silent_names.contains(name)) {
      result = failure(dns::Error{dns::ErrorKind::Timeout, "scripted"});
      after = silence;
    }
    if (result.provenance.security == dns::Security::Unknown) {
      result.provenance.security = security_of(name);
    }
    query->timer = timers_.make_timer(
        [callback = std::move(callback), result = std::move(result)] { callback(result); });
    query->timer->arm(after);
    return query;
  }

  event::Timers& timers_;
};

}  // namespace mtastsd::test
