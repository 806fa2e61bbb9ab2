#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fakes/fake_loop.h"
#include "fakes/scripted_net.h"

namespace mtastsd::test {

// What a scenario has set up on the net. What it has not does not exist: NXDOMAIN with a
// negative TTL of five minutes, and connections to policy hosts are refused. The address records
// of hosts exist unless it says otherwise. Zones are signed unless it says otherwise, and the
// resolver validates.
class ScriptedWorld {
 public:
  explicit ScriptedWorld(FakeLoop& loop);

  // Each takes the words after "txt example.com" and so on, and the indented lines below; gives
  // what is wrong with them, or nothing.
  std::string set_txt(const std::string& domain, std::string words,
                      const std::vector<std::string>& body);
  std::string set_host(const std::string& domain, const std::string& words);
  std::string set_mx(const std::string& domain, std::string words);
  std::string set_tlsa(const std::string& host, std::string words);
  std::string set_https(const std::string& domain, std::string words,
                        const std::vector<std::string>& body);

  ScriptedDns dns;
  ScriptedFetcher fetcher;
  std::vector<std::string> asked;    // names DNS was asked for, in order; "MX name" for MX records
  std::vector<std::string> fetched;  // policy domains, in order

 private:
  std::map<std::string, Script<dns::TxtAnswer>> txt_;
  std::map<std::string, Script<dns::AddressAnswer>> hosts_;
  std::map<std::string, Script<dns::Answer<dns::MxRecords>>> mx_;
  std::map<std::string, Script<dns::Answer<dns::TlsaRecords>>> tlsa_;
  std::map<std::string, Script<https::FetchResult>> https_;
};

// "400", "1d12h", "500ms"; negative for what is none.
Milliseconds parse_time(const std::string& text);

}  // namespace mtastsd::test
