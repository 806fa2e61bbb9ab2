// Puts the rules' findings together, and has those about the machine as a whole.
#include "mtastsd/doctor/findings.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "mtastsd/postfix/profile.h"

namespace mtastsd::doctor {
namespace {

using config::ListenAddress;

constexpr std::string_view kSocketDirectory = "run/mtastsd";

bool same(const Finding& a, const Finding& b) {
  return a.code == b.code && a.subject == b.subject && a.text == b.text && a.fixes == b.fixes;
}

// One finding for the same thing at several services.
void merge(std::vector<Finding>& all, std::vector<Finding> found, const std::string& service) {
  for (Finding& one : found) {
    const auto known = std::find_if(all.begin(), all.end(),
                                    [&](const Finding& other) { return same(one, other); });
    Finding& kept = known == all.end() ? all.emplace_back(std::move(one)) : *known;
    if (kept.services.empty() || kept.services.back() != service) kept.services.push_back(service);
  }
}

Finding judge_version(const Facts& facts) {
  const auto profile = postfix::profile_for_postfix(facts.version);
  if (!profile) {
    return {"postfix_version", Severity::Error, "mail_version",
            "Postfix " + facts.version + " cannot ask mtastsd: socketmap came with 2.10"};
  }
  if (!facts.has_socketmap) {
    return {"postfix_socketmap", Severity::Error, "postconf -m",
            "this Postfix was built without socketmap tables; install one that has them"};
  }
  const std::string map = recommended_map(facts);
  return {"postfix_version", Severity::Good, "mail_version",
          "Postfix " + facts.version + " goes with the map \"" + map + "\""};
}

Finding judge_configuration(const Facts& facts) {
  const std::string path =
      facts.config_path.empty() ? "the built-in configuration" : facts.config_path;
  if (!facts.config_error.empty()) {
    return {"config_unusable", Severity::Error, "mtastsd.toml",
            "cannot be used, so its addresses and maps are not compared: " + facts.config_error};
  }
  std::string listen;
  for (const ListenAddress& address : facts.daemon.socketmap.listen) {
    listen += (listen.empty() ? "" : ", ") + address.str();
  }
  return {"config", Severity::Good, "mtastsd.toml", path + ": mtastsd is to listen at " + listen};
}

void judge_connections(const Facts& facts, std::vector<Finding>& found) {
  const std::string_view text = facts.main_value("default_process_limit");
  std::size_t limit = 0;
  std::from_chars(text.data(), text.data() + text.size(), limit);
  const std::size_t most = limit * std::max<std::size_t>(facts.services.size(), 1);
  if (!facts.config_error.empty() || facts.daemon.socketmap.max_connections >= most) return;
  found.push_back({"connections_few",
                   Severity::Warning,
                   "max_connections",
                   "mtastsd takes " + std::to_string(facts.daemon.socketmap.max_connections) +
                       " connections, but Postfix may run " + std::to_string(most) +
                       " smtp(8) processes with one each",
                   {{"mtastsd.toml [socketmap]", "max_connections = " + std::to_string(most)}}});
}

void judge_relayhost(const Facts& facts, std::vector<Finding>& found) {
  const std::string_view relay = facts.main_value("relayhost");
  if (relay.empty()) return;
  found.push_back({"relayhost", Severity::Note, "relayhost",
                   "mail goes to " + std::string(relay) +
                       ", so that host's policy is looked up, and those of the recipients' "
                       "domains are not: that is for the relay host to do"});
}

ListenAddress reachable(const ListenAddress& address) {
  ListenAddress one = address;
  if (one.host == "0.0.0.0") one.host = "127.0.0.1";
  if (one.host == "::") one.host = "::1";
  return one;
}

}  // namespace

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::Error:
      return "error";
    case Severity::Warning:
      return "warning";
    case Severity::Unknown:
      return "unknown";
    case Severity::Note:
      return "note";
    case Severity::Good:
      return "ok";
  }
  return "";
}

Fix set_parameter(const SmtpService& service, std::string_view name, std::string_view value) {
  std::string line(name);
  if (service.overrides.find(name) == service.overrides.end()) {
    return {"main.cf", line + " = " + std::string(value)};
  }
  // In braces white space may stand in it.
  return {"master.cf, below " + service.name, "-o { " + line + " = " + std::string(value) + " }"};
}

std::string recommended_map(const Facts& facts) {
  const auto profile = postfix::profile_for_postfix(facts.version);
  if (profile && profile->report_attributes) return "QUERYwithTLSRPT";
  if (profile && profile->servername) return "postfix";
  for (const auto& [name, has] : facts.daemon.maps) {
    if (!has.servername && !has.report_attributes) return name;
  }
  return "old";
}

std::string recommended_table(const Facts& facts) {
  const std::string map = recommended_map(facts);
  const std::string queue = std::string(facts.main_value("queue_directory")) + "/";
  const auto& listen = facts.daemon.socketmap.listen;
  const auto inet = std::find_if(listen.begin(), listen.end(), [](const ListenAddress& address) {
    return address.kind == ListenAddress::Kind::Inet;
  });
  if (inet != listen.end()) return "socketmap:" + reachable(*inet).str() + ":" + map;
  std::string path = queue + std::string(kSocketDirectory) + "/policy.sock";
  for (const ListenAddress& address : listen) {
    if (address.path.starts_with(queue)) path = address.path;
  }
  // A relative path is right in the chroot and out of it.
  return "socketmap:unix:" + path.substr(queue.size()) + ":" + map;
}

std::vector<Finding> judge_machine(const Facts& facts) {
  std::vector<Finding> found = {judge_version(facts), judge_configuration(facts)};
  judge_connections(facts, found);
  judge_relayhost(facts, found);
  if (facts.services.empty()) {
    found.push_back({"smtp_missing",
                     Severity::Error,
                     "master.cf",
                     "no service runs smtp(8), so this Postfix delivers nothing to other hosts",
                     {{"master.cf", "smtp unix - - n - - smtp"}}});
  }
  return found;
}

std::vector<Finding> judge(const Facts& facts) {
  std::vector<Finding> all;
  for (const SmtpService& service : facts.services) {
    merge(all, judge_maps(facts, service), service.name);
    merge(all, judge_tls(facts, service), service.name);
  }
  for (Finding& one : all) {
    if (one.services.size() == facts.services.size()) one.services.clear();
  }
  std::vector<Finding> machine = judge_machine(facts);
  all.insert(all.begin(), machine.begin(), machine.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
  return all;
}

}  // namespace mtastsd::doctor
