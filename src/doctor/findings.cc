// Collects the findings of the rules, and has the rules about the host as a whole.
#include "mtastsd/doctor/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "mtastsd/base/text.h"
#include "mtastsd/postfix/profile.h"
#include "remedy.h"

namespace mtastsd::doctor {
namespace {

using config::ListenAddress;

constexpr std::array<FindingKind, static_cast<std::size_t>(Code::Count)> kKinds = {{
    {Code::Ca, "ca", Severity::Ok},
    {Code::CaExpired, "ca_expired", Severity::High},
    {Code::CaFew, "ca_few", Severity::Info},
    {Code::CaMissing, "ca_missing", Severity::High},
    {Code::CaPathUseless, "ca_path_useless", Severity::High},
    {Code::CaUnchecked, "ca_unchecked", Severity::Unknown},
    {Code::CaUnusable, "ca_unusable", Severity::High},
    {Code::ChrootPath, "chroot_path", Severity::High},
    {Code::ClockUnsynchronised, "clock_unsynchronised", Severity::Low},
    {Code::Config, "config", Severity::Ok},
    {Code::ConfigUnusable, "config_unusable", Severity::High},
    {Code::ConnectionsFew, "connections_few", Severity::Medium},
    {Code::DaemonAddress, "daemon_address", Severity::Medium},
    {Code::DaemonAnswers, "daemon_answers", Severity::Ok},
    {Code::DaemonElsewhere, "daemon_elsewhere", Severity::Info},
    {Code::DaemonSilent, "daemon_silent", Severity::High},
    {Code::DaemonStranger, "daemon_stranger", Severity::High},
    {Code::DaemonUnchecked, "daemon_unchecked", Severity::Unknown},
    {Code::DaneAndSts, "dane_and_sts", Severity::High},
    {Code::DaneIgnoresErrors, "dane_ignores_errors", Severity::Medium},
    {Code::DaneInsecureMx, "dane_insecure_mx", Severity::Info},
    {Code::DaneMapWithoutDnssec, "dane_map_without_dnssec", Severity::High},
    {Code::DaneResolver, "dane_resolver", Severity::High},
    {Code::DaneResolverUnchecked, "dane_resolver_unchecked", Severity::Unknown},
    {Code::DaneWithoutDnssec, "dane_without_dnssec", Severity::Medium},
    {Code::DnsDisabled, "dns_disabled", Severity::Medium},
    {Code::DnsFails, "dns_fails", Severity::Medium},
    {Code::DnsRemote, "dns_remote", Severity::Low},
    {Code::DnsSlow, "dns_slow", Severity::Low},
    {Code::DnsWorks, "dns_works", Severity::Ok},
    {Code::HostName, "host_name", Severity::Info},
    {Code::ListenUnusable, "listen_unusable", Severity::High},
    {Code::MapBroken, "map_broken", Severity::High},
    {Code::MapHidden, "map_hidden", Severity::High},
    {Code::MapMissing, "map_missing", Severity::High},
    {Code::MapNameUnknown, "map_name_unknown", Severity::Medium},
    {Code::MapOffHere, "map_off_here", Severity::Medium},
    {Code::MapOrder, "map_order", Severity::Info},
    {Code::MapSyntax, "map_syntax", Severity::High},
    {Code::MapTwice, "map_twice", Severity::Medium},
    {Code::MapTypeUnknown, "map_type_unknown", Severity::High},
    {Code::MapUnchecked, "map_unchecked", Severity::Unknown},
    {Code::MapWrapped, "map_wrapped", Severity::High},
    {Code::MxPatternsOff, "mx_patterns_off", Severity::Medium},
    {Code::NotMtastsd, "not_mtastsd", Severity::High},
    {Code::OnlineEnforced, "online_enforced", Severity::Ok},
    {Code::OnlineNotEnforced, "online_not_enforced", Severity::Medium},
    {Code::ParameterTwice, "parameter_twice", Severity::Low},
    {Code::ParameterUnknown, "parameter_unknown", Severity::Low},
    {Code::PostfixSocketmap, "postfix_socketmap", Severity::High},
    {Code::PostfixVersion, "postfix_version", Severity::Ok},
    {Code::Profile, "profile", Severity::Ok},
    {Code::ProfileNoSni, "profile_no_sni", Severity::Medium},
    {Code::ProfileObserves, "profile_observes", Severity::Medium},
    {Code::ProfileTesting, "profile_testing", Severity::Info},
    {Code::ProfileTooNew, "profile_too_new", Severity::High},
    {Code::ProfileTooOld, "profile_too_old", Severity::Medium},
    {Code::Proxy, "proxy", Severity::Info},
    {Code::ProxyReadMaps, "proxy_read_maps", Severity::High},
    {Code::Relayhost, "relayhost", Severity::Info},
    {Code::Routes, "routes", Severity::Info},
    {Code::SelfTest, "self_test", Severity::Ok},
    {Code::SelfTestFails, "self_test_fails", Severity::Medium},
    {Code::SmtpMissing, "smtp_missing", Severity::High},
    {Code::Socket, "socket", Severity::Ok},
    {Code::SocketDenied, "socket_denied", Severity::High},
    {Code::SocketGone, "socket_gone", Severity::High},
    {Code::SocketPlace, "socket_place", Severity::Medium},
    {Code::SocketUnchecked, "socket_unchecked", Severity::Unknown},
    {Code::TlsCiphers, "tls_ciphers", Severity::High},
    {Code::TlsLevel, "tls_level", Severity::Ok},
    {Code::TlsLevelNone, "tls_level_none", Severity::Medium},
    {Code::TlsLevelStrict, "tls_level_strict", Severity::Info},
    {Code::TlsLevelUnknown, "tls_level_unknown", Severity::High},
    {Code::TlsLog, "tls_log", Severity::Info},
    {Code::TlsPerSite, "tls_per_site", Severity::Info},
    {Code::TlsProtocols, "tls_protocols", Severity::High},
    {Code::TlsrptWithoutPolicy, "tlsrpt_without_policy", Severity::Medium},
    {Code::TransportMissing, "transport_missing", Severity::High},
    {Code::TransportOther, "transport_other", Severity::Info},
    {Code::TrustAnchors, "trust_anchors", Severity::Medium},
    {Code::UnitDisabled, "unit_disabled", Severity::Medium},
    {Code::UnitFailed, "unit_failed", Severity::High},
}};
static_assert(report::is_complete(kKinds));

bool same(const Finding& a, const Finding& b) {
  return a.kind == b.kind && a.severity == b.severity && a.subject == b.subject &&
         a.text == b.text && a.fixes == b.fixes;
}

// One finding for the same thing at several services.
void merge(std::vector<Finding>& all, std::vector<Finding> found, const std::string& service) {
  for (Finding& one : found) {
    const auto known = std::find_if(all.begin(), all.end(),
                                    [&](const Finding& other) { return same(one, other); });
    Finding& kept = known == all.end() ? all.emplace_back(std::move(one)) : *known;
    if (kept.services.empty() || kept.services.back() != service) {
      kept.services.push_back(service);
    }
  }
}

bool does_dane(const Facts& facts) {
  const std::string_view level = facts.main_value("smtp_tls_security_level");
  return level == "dane" || level == "dane-only";
}

Finding judge_version(const Facts& facts) {
  if (!postfix::profile_for_postfix(facts.version)) {
    Finding found{
        Code::PostfixVersion, "mail_version",
        fmt::format("Postfix {} cannot ask mtastsd, because socketmap tables exist only since "
                    "2.10.",
                    facts.version)};
    found.severity = Severity::High;
    return found;
  }
  if (!facts.has_socketmap) {
    return {Code::PostfixSocketmap, "postconf -m",
            "This Postfix was built without socketmap tables. Install one that supports them."};
  }
  return {Code::PostfixVersion, "mail_version",
          fmt::format("Postfix {} needs the map \"{}\".", facts.version,
                      recommended_map(facts, does_dane(facts)))};
}

Finding judge_configuration(const Facts& facts) {
  if (facts.config_unknown()) {
    return {Code::ConfigUnusable, "mtastsd.toml",
            "It cannot be used, so its addresses and maps were not compared: " +
                facts.config_error + "."};
  }
  if (!facts.config_error.empty()) {
    std::vector<Fix> lines;
    for (const std::size_t number : facts.config_lines) {
      lines.push_back({"command", fmt::format("sed -i '{}s/^/#/' {}", number, facts.config_path)});
    }
    lines.push_back(restart_daemon(facts));
    return {Code::ConfigUnusable, "mtastsd.toml",
            "mtastsd does not start with it: " + facts.config_error +
                ". Correct it, or turn what is wrong into a comment.",
            std::move(lines)};
  }
  return {Code::Config, "mtastsd.toml",
          fmt::format("{} says that mtastsd listens at {}.",
                      facts.config_path.empty() ? "The built-in configuration" : facts.config_path,
                      joined(facts.daemon.socketmap.listen, ", ",
                             [](const ListenAddress& address) { return address.str(); }))};
}

void judge_connections(const Facts& facts, std::vector<Finding>& found) {
  const std::string_view text = facts.main_value("default_process_limit");
  std::size_t limit = 0;
  std::from_chars(text.data(), text.data() + text.size(), limit);
  const std::size_t most = limit * std::max<std::size_t>(facts.services.size(), 1);
  const std::size_t accepted = facts.daemon.socketmap.max_connections;
  if (!facts.config_unknown() && accepted < most) {
    found.push_back({Code::ConnectionsFew,
                     "max_connections",
                     fmt::format("mtastsd accepts {} connections, but Postfix can run {} smtp(8) "
                                 "processes, each with one connection.",
                                 accepted, most),
                     {{"mtastsd.toml [socketmap]", fmt::format("max_connections = {}", most)}}});
  }
}

void judge_listeners(const Facts& facts, std::vector<Finding>& found) {
  for (const ListenAddress& address : facts.daemon.socketmap.listen) {
    const auto known = facts.listeners.find(address.str());
    if (known != facts.listeners.end() && !known->second.answers && known->second.error != 0) {
      found.push_back({Code::ListenUnusable, "listen",
                       fmt::format("mtastsd does not start, because it cannot listen at {}: {}.",
                                   address.str(), std::strerror(known->second.error)),
                       server_lines(facts)});
    }
  }
}

// The service of "transport:nexthop".
void judge_transport(const Facts& facts, std::string_view name, std::vector<Finding>& found) {
  const std::string_view value = facts.main_value(name);
  const std::size_t colon = std::min(value.find(':'), value.size());
  const std::string service = std::string(value.substr(0, colon)) + "/unix";
  const auto& others = facts.other_services;
  const bool by_smtp = std::any_of(facts.services.begin(), facts.services.end(),
                                   [&](const SmtpService& one) { return one.name == service; });
  if (value.empty()) {
    return;
  }
  if (by_smtp && colon + 1 < value.size()) {
    found.push_back(
        {Code::Routes, name,
         fmt::format("Mail goes to {}, so its policy is looked up, and the policies of the "
                     "recipients' domains are not. That is the task of the relay host.",
                     value.substr(colon + 1))});
  } else if (!by_smtp && std::find(others.begin(), others.end(), service) != others.end()) {
    found.push_back(
        {Code::TransportOther, name,
         fmt::format("Mail goes through {}, which is not smtp(8) and applies no policy.",
                     value.substr(0, colon))});
  } else if (!by_smtp) {
    found.push_back(
        {Code::TransportMissing,
         name,
         fmt::format("There is no service \"{}\" in master.cf, so all mail is deferred.",
                     value.substr(0, colon)),
         {{"main.cf", std::string(name) + " = smtp"}}});
  }
}

// What sends mail elsewhere than to the recipient's domain.
void judge_routes(const Facts& facts, std::vector<Finding>& found) {
  judge_transport(facts, "default_transport", found);
  for (const std::string_view name :
       {"transport_maps", "sender_dependent_relayhost_maps",
        "sender_dependent_default_transport_maps", "smtp_fallback_relay"}) {
    if (!facts.main_value(name).empty()) {
      found.push_back(
          {Code::Routes, name,
           fmt::format("Where {} names a host, its policy is looked up and not that of the "
                       "recipient's domain; where it names a service that is not smtp(8), none is.",
                       facts.main_value(name))});
    }
  }
}

void judge_parameters(const Facts& facts, std::vector<Finding>& found) {
  for (const std::string& name : facts.twice) {
    found.push_back({Code::ParameterTwice, name,
                     "This parameter is in main.cf more than once. The last one counts. Remove the "
                     "others, or the next change may be made to the wrong one."});
  }
  for (const std::string& setting : facts.unknown) {
    found.push_back({Code::ParameterUnknown, setting,
                     "This is in main.cf, and Postfix does not know it. Check the spelling."});
  }
}

// What mtastsd says of names that it has to look up.
void judge_questions(const Facts& facts, std::vector<Finding>& found) {
  if (facts.impossible) {
    const Question& one = *facts.impossible;
    if (one.reply.starts_with("NOTFOUND")) {
      found.push_back(
          {Code::SelfTest, one.table,
           fmt::format("It has no policy for a domain that cannot exist, which it found "
                       "out in {} ms.",
                       one.took.count())});
    } else {
      found.push_back({Code::SelfTestFails, one.table,
                       fmt::format("It was asked about {}, which cannot exist, and {}.", one.domain,
                                   one.reply.empty() ? "did not answer: " + one.error
                                                     : "answers \"" + one.reply + "\"")});
    }
  }
  if (facts.online) {
    const Question& one = *facts.online;
    if (one.reply.starts_with("OK secure") || one.reply.starts_with("OK dane-only")) {
      found.push_back({Code::OnlineEnforced, one.table,
                       fmt::format("Mail to {} is protected: {}.", one.domain, one.reply)});
    } else {
      found.push_back({Code::OnlineNotEnforced, one.table,
                       fmt::format("Mail to {} is not protected: mtastsd {}. \"mtastsctl explain\" "
                                   "says why.",
                                   one.domain,
                                   one.reply.empty() ? "did not answer: " + one.error
                                                     : "answers \"" + one.reply + "\"")});
    }
  }
}

void judge_dns(const Facts& facts, std::vector<Finding>& found) {
  constexpr Milliseconds kSlow{1000};
  if (!facts.dns) {
    return;
  }
  if (!facts.dns->error.empty()) {
    found.push_back({Code::DnsFails, "dns",
                     fmt::format("mtastsd cannot look up policies, so domains whose policy it does "
                                 "not have yet are not protected: {}.",
                                 facts.dns->error)});
  } else {
    found.push_back(
        {facts.dns->took >= kSlow ? Code::DnsSlow : Code::DnsWorks, "dns",
         fmt::format("The DNS servers of mtastsd answer within {} ms.", facts.dns->took.count())});
  }
}

void judge_host(const Facts& facts, std::vector<Finding>& found) {
  // A socket that is enabled starts the service.
  const bool starts = std::any_of(facts.units.begin(), facts.units.end(),
                                  [](const Unit& unit) { return unit.enabled == "enabled"; });
  for (const Unit& unit : facts.units) {
    if (unit.active == "failed") {
      found.push_back({Code::UnitFailed,
                       unit.name,
                       "This unit of systemd has failed. \"systemctl status\" says why.",
                       {restart_daemon(facts)}});
    }
    if (!starts && unit.enabled == "disabled" && unit.name == "mtastsd.service") {
      found.push_back({Code::UnitDisabled,
                       unit.name,
                       "It does not start when this host does, and all mail is deferred then.",
                       {{"command", "systemctl enable mtastsd"}}});
    }
  }
  if (facts.clock_unsynchronised) {
    found.push_back(
        {Code::ClockUnsynchronised, "clock",
         "The kernel says that nothing keeps the clock right. Certificates and the life "
         "of policies are judged by it. Run an NTP client."});
  }
}

void judge_relayhost(const Facts& facts, std::vector<Finding>& found) {
  const std::string_view relay = facts.main_value("relayhost");
  if (!relay.empty()) {
    found.push_back(
        {Code::Relayhost, "relayhost",
         fmt::format("Mail goes to {}, so its policy is looked up, and the policies of the "
                     "recipients' domains are not. That is the task of the relay host.",
                     relay)});
  }
}

// Whose answers can be changed on their way.
void judge_ways_to_dns(const Facts& facts, std::vector<Finding>& found) {
  for (const Resolver& resolver : facts.resolvers) {
    if (!resolver.trusted) {
      found.push_back({Code::DnsRemote, resolver.server,
                       "This DNS server is not on this host. Whoever can change its answers on "
                       "their way hides the policy of a domain that mtastsd does not know yet, and "
                       "mail to it is sent without protection. Run a validating resolver on this "
                       "host, for example unbound, and let that forward over TLS if it has to (see "
                       "DNS in mtastsd.toml(5))."});
    }
  }
}

// Whose word on DNSSEC mtastsd goes by.
void judge_resolvers(const Facts& facts, std::vector<Finding>& found) {
  for (const Resolver& resolver : facts.resolvers) {
    if (!resolver.trusted) {
      found.push_back({Code::DaneResolver,
                       resolver.server,
                       "This DNS server is not on this host, so mtastsd does not go by its word on "
                       "DNSSEC, and a "
                       "policy can override DANE. Postfix goes by it. Run a validating resolver on "
                       "this host, or, "
                       "if nobody can change what this server answers on its way, say so.",
                       {{"mtastsd.toml [dns]", "trust_ad = true"}}});
    } else if (!resolver.validates) {
      found.push_back({Code::DaneResolverUnchecked, resolver.server,
                       "This DNS server did not say whether it validates DNSSEC."});
    } else if (!*resolver.validates) {
      found.push_back({Code::DaneResolver, resolver.server,
                       "This DNS server does not validate DNSSEC, so neither Postfix nor mtastsd "
                       "can do DANE, and "
                       "a policy can override it. Run a validating resolver on this host, for "
                       "example unbound."});
    }
  }
}

}  // namespace

std::span<const FindingKind> finding_kinds() {
  return kKinds;
}

Finding::Finding(Code code, std::string_view about, std::string sentence, std::vector<Fix> lines)
    : kind(&kKinds.at(static_cast<std::size_t>(code))),
      severity(kind->severity),
      subject(about),
      text(std::move(sentence)),
      fixes(std::move(lines)) {}

std::vector<Finding> judge_machine(const Facts& facts) {
  std::vector<Finding> found = {judge_version(facts), judge_configuration(facts)};
  judge_connections(facts, found);
  judge_listeners(facts, found);
  judge_relayhost(facts, found);
  judge_routes(facts, found);
  judge_parameters(facts, found);
  judge_dns(facts, found);
  judge_questions(facts, found);
  judge_host(facts, found);
  if (any_map_does_dane(facts)) {
    judge_resolvers(facts, found);
  } else {
    judge_ways_to_dns(facts, found);
  }
  if (facts.services.empty()) {
    found.push_back({Code::SmtpMissing,
                     "master.cf",
                     "No service runs smtp(8), so this Postfix delivers nothing to other hosts.",
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
    if (one.services.size() == facts.services.size()) {
      one.services.clear();
    }
  }
  std::vector<Finding> machine = judge_machine(facts);
  all.insert(all.begin(), machine.begin(), machine.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
  return all;
}

}  // namespace mtastsd::doctor
