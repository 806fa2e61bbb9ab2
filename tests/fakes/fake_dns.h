#pragma once

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
    return answer({}, name, std::move(callback), delay);
  }
  dns::Handle tlsa(const std::string& name, dns::Callback<dns::TlsaRecords> callback) override {
    asked.push_back("TLSA " + name);
    return answer({}, name, std::move(callback), delay);
  }

 private:
  struct FakeQuery : dns::Query {
    std::unique_ptr<event::Timer> timer;
  };

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
    query->timer = timers_.make_timer(
        [callback = std::move(callback), result = std::move(result)] { callback(result); });
    query->timer->arm(after);
    return query;
  }

  event::Timers& timers_;
};

}  // namespace mtastsd::test
