// TLS in smtp(8): the level without a policy, the certificate authorities, DANE, and everything
// else that the level "secure", which mtastsd answers with, depends on.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "mtastsd/base/text.h"
#include "mtastsd/doctor/findings.h"
#include "remedy.h"
#include "tables.h"
#include "tls_strength.h"

namespace mtastsd::doctor {
namespace {

constexpr std::string_view kLevel = "smtp_tls_security_level";
constexpr std::string_view kCaFile = "smtp_tls_CAfile";
constexpr std::string_view kCaPath = "smtp_tls_CApath";
constexpr std::string_view kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";
// The certificates of public mail servers come from more authorities than these.
constexpr int kFewAuthorities = 20;

constexpr std::array<std::string_view, 4> kOpportunistic = {"may", "dane", "none", ""};
constexpr std::array<std::string_view, 5> kMandatory = {"encrypt", "fingerprint", "dane-only",
                                                        "verify", "secure"};

template <std::size_t Size>
bool is_one_of(std::string_view text, const std::array<std::string_view, Size>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

struct View {
  const Facts& facts;
  const SmtpService& service;
  Remedy remedy;
  std::vector<Finding> found;

  std::string value(std::string_view name) const {
    return std::string(value_for(facts, service, name));
  }
  bool on(std::string_view name) const { return value(name) == "yes"; }
  Fix set(std::string_view name, std::string_view to) const {
    return set_parameter(service, name, to);
  }
  Fix dns_support() const { return set(kDnsSupport, remedy.dns_support); }
  Finding& add(Code code, std::string_view subject, std::string text, std::vector<Fix> fixes = {}) {
    return found.emplace_back(code, subject, std::move(text), std::move(fixes));
  }
};

void judge_level(View& view) {
  const std::string level = level_of(view.facts, view.service);
  const std::vector<Fix> use_may = {view.set(kLevel, "may")};
  if (level == "none") {
    view.add(Code::TlsLevelNone, kLevel,
             "Mail to domains without an enforced policy is sent without TLS, although a policy of "
             "mode testing expects that TLS is tried.",
             use_may);
  } else if (level == "fingerprint" && view.value("smtp_tls_fingerprint_cert_match").empty()) {
    view.add(
        Code::TlsLevelUnknown, kLevel,
        "The level \"fingerprint\" needs smtp_tls_fingerprint_cert_match. Without it, all mail "
        "that no policy is enforced for is deferred.",
        {view.set(kLevel, "encrypt")});
  } else if (is_one_of(level, kMandatory)) {
    view.add(
        Code::TlsLevelStrict, kLevel,
        fmt::format("The level \"{}\" applies to every domain without an enforced policy. Mail to "
                    "servers that do not support it is deferred. mtastsd needs only \"may\".",
                    level));
  } else if (!is_one_of(level, kOpportunistic)) {
    view.add(Code::TlsLevelUnknown, kLevel,
             fmt::format("Postfix has no level \"{}\", so smtp(8) exits and all mail is deferred.",
                         level),
             use_may);
  } else {
    view.add(Code::TlsLevel, kLevel,
             fmt::format("The level is \"{}\" if no policy is enforced.", level));
  }
}

void judge_dane_level(View& view, const std::string& level) {
  const Severity severity = level == "dane" ? Severity::Medium : Severity::High;
  const std::string_view result = level == "dane"
                                      ? "Postfix uses \"may\" instead"
                                      : "all mail without an enforced policy is deferred";
  if (view.value("smtp_dns_support_level") != "dnssec") {
    view.add(Code::DaneWithoutDnssec, "smtp_dns_support_level",
             fmt::format("The level \"{}\" needs DNSSEC, and without it {}.", level, result),
             {view.dns_support()})
        .severity = severity;
  } else if (view.on("ignore_mx_lookup_error")) {
    view.add(Code::DaneIgnoresErrors, "ignore_mx_lookup_error",
             fmt::format("The level \"{}\" is incompatible with this, and {}.", level, result),
             {view.set("ignore_mx_lookup_error", "no")})
        .severity = severity;
  }
}

// Of the map and Postfix, both do DANE or neither does.
void judge_dane(View& view) {
  const std::string level = level_of(view.facts, view.service);
  const bool by_level = level == "dane" || level == "dane-only";
  if (by_level) {
    judge_dane_level(view, level);
  }
  const UsedMap map = used_map(view.facts, view.service);
  if (map.profile == nullptr || view.facts.config_unknown()) {
    return;
  }
  if (by_level && !map.profile->dane) {
    view.add(
        Code::DaneAndSts, kMaps,
        fmt::format("Postfix does DANE, but the map in {} is for a Postfix that does not. For a "
                    "domain that has both, MTA-STS then overrides DANE, which RFC 8461 section "
                    "2 forbids: mail is delivered although its TLSA records do not match.",
                    map.table),
        view.remedy.lines);
  } else if (map.profile->dane && view.value("smtp_dns_support_level") != "dnssec") {
    view.add(
        Code::DaneMapWithoutDnssec, "smtp_dns_support_level",
        fmt::format("The map in {} answers \"dane-only\" for domains with DANE. Without DNSSEC, "
                    "Postfix defers all mail to them. Turn it on, or use the map \"{}\".",
                    map.table, recommended_map(view.facts, false)),
        {view.dns_support()});
  } else if (map.profile->dane && by_level &&
             view.value("smtp_tls_dane_insecure_mx_policy") == "dane") {
    view.add(
        Code::DaneInsecureMx, "smtp_tls_dane_insecure_mx_policy",
        "Where MX records are not signed, Postfix uses DANE all the same for MX hosts with TLSA "
        "records. If such a domain has an enforced policy, its policy decides (RFC 7672 section "
        "2.2.1).");
  }
}

void judge_dns(View& view) {
  const std::string level = view.value("smtp_dns_support_level");
  if (level == "disabled" || (level.empty() && view.on("disable_dns_lookups"))) {
    view.add(Code::DnsDisabled, "smtp_dns_support_level",
             "smtp(8) does not look up MX hosts, so a policy is compared with the domain's own "
             "name.",
             {view.dns_support()});
  }
}

void judge_protocols(View& view, std::string_view name, Severity severity) {
  const std::string text = view.value(name);
  const auto left = read_protocols(text);
  const std::vector<Fix> fixes = {view.set(name, view.facts.default_value(name))};
  if (!left) {
    view.add(Code::TlsProtocols, name,
             fmt::format("Postfix does not understand \"{}\", so no TLS connection is made.", text),
             fixes)
        .severity = severity;
  } else if (!left->tls1_2 && !left->tls1_3) {
    view.add(Code::TlsProtocols, name,
             fmt::format("\"{}\" leaves neither TLS 1.2 nor TLS 1.3.", text), fixes)
        .severity = severity;
  } else if (!left->tls1_2) {
    view.add(Code::TlsProtocols, name,
             fmt::format("\"{}\" leaves TLS 1.3 only, which many mail servers do not have.", text),
             fixes)
        .severity = Severity::Medium;
  }
}

// The grade of ciphers; "medium" if Postfix has no such grade or one that encrypts nothing.
std::string judge_grade(View& view, std::string_view name, Severity severity) {
  constexpr std::array<std::string_view, 4> kGrades = {"export", "low", "medium", "high"};
  std::string grade = view.value(name);
  if (!grade.empty() && !is_one_of(grade, kGrades)) {
    view.add(Code::TlsCiphers, name,
             fmt::format("The grade of ciphers \"{}\" makes no protected connection.", grade),
             {view.set(name, "medium")})
        .severity = severity;
    grade = "medium";
  }
  return grade;
}

// The ciphers for mail under a policy.
void judge_ciphers(View& view) {
  constexpr std::string_view kExcluded = "smtp_tls_exclude_ciphers";
  constexpr std::string_view kAlsoExcluded = "smtp_tls_mandatory_exclude_ciphers";
  judge_grade(view, "smtp_tls_ciphers", Severity::Medium);
  const std::string grade = judge_grade(view, "smtp_tls_mandatory_ciphers", Severity::High);
  const std::string list_name = "tls_" + grade + "_cipherlist";
  std::string list = view.value(list_name);
  if (grade.empty() || list.empty()) {
    return;
  }
  const auto add = [&](std::string_view name, std::string_view right) {
    view.add(Code::TlsCiphers, name,
             fmt::format("\"{}\" leaves no cipher that mail servers with TLS 1.2 usually have, so "
                         "mail under a policy is deferred.",
                         view.value(name)),
             {view.set(name, right)});
  };
  if (!leaves_usual_ciphers(list, "")) {
    const std::string right(view.facts.default_value(list_name));
    add(list_name, right);
    list = right;
  }
  const std::string first = view.value(kExcluded);
  const std::string second = view.value(kAlsoExcluded);
  if (leaves_usual_ciphers(list, first + " " + second)) {
    return;
  }
  const bool first_alone = !leaves_usual_ciphers(list, first);
  const bool second_alone = !leaves_usual_ciphers(list, second);
  if (first_alone || !second_alone) {
    add(kExcluded, "");
  }
  if (second_alone || !first_alone) {
    add(kAlsoExcluded, "");
  }
}

std::vector<Fix> system_authorities(const View& view) {
  return {view.set(kCaFile, kSystemAuthorities)};
}

// True if the authorities could not be read for want of rights.
bool is_hidden(const View& view, const Authorities& has) {
  return !view.facts.root && has.reason == "Permission denied";
}

void judge_ca_file(View& view, const std::string& path) {
  const auto known = view.facts.ca_files.find(path);
  if (known == view.facts.ca_files.end()) {
    return;
  }
  const Authorities& has = known->second;
  if (is_hidden(view, has)) {
    view.add(Code::CaUnchecked, kCaFile,
             fmt::format("You may not read {}. Run this as root.", path));
  } else if (!has.reason.empty()) {
    view.add(Code::CaUnusable, kCaFile,
             fmt::format("{}: {}. smtp(8) turns TLS off, and mail under a policy is deferred.",
                         path, has.reason),
             system_authorities(view));
  } else if (has.usable == 0) {
    view.add(
        Code::CaExpired, kCaFile,
        fmt::format("All {} certificates in {} have expired, so no mail server can be verified.",
                    has.expired, path),
        system_authorities(view));
  } else if (has.usable < kFewAuthorities) {
    view.add(
        Code::CaFew, kCaFile,
        fmt::format("{} has {}, but public mail servers have certificates from many more.", path,
                    counted(static_cast<std::size_t>(has.usable), "authority", "authorities")),
        system_authorities(view));
  } else {
    view.add(Code::Ca, kCaFile, fmt::format("{} has {} authorities.", path, has.usable));
  }
}

// A CApath is searched at each handshake, by then in the chroot.
void judge_ca_path(View& view, const std::string& path, bool alone) {
  const bool chroot = view.service.chroot;
  const auto known = view.facts.ca_paths.find({path, chroot});
  if (known == view.facts.ca_paths.end()) {
    return;
  }
  const Authorities& has = known->second;
  if (has.reason.empty() && has.usable > 0) {
    view.add(
        Code::Ca, kCaPath,
        fmt::format("{} has {} authorities{}.", path, has.usable, chroot ? " in the chroot" : ""));
    return;
  }
  if (!alone) {
    return;
  }
  std::string text = path;
  if (chroot) {
    text = fmt::format("smtp(8) looks for {} in the chroot, as {}", path,
                       real_path(path, true, view.facts.main_value("queue_directory")));
  }
  text += has.reason.empty() ? " has no authority that OpenSSL can find (see openssl-rehash(1))"
                             : ": " + has.reason;
  if (is_hidden(view, has)) {
    view.add(Code::CaUnchecked, kCaPath, text + ". Run this as root.");
  } else {
    view.add(Code::CaPathUseless, kCaPath,
             text + ". No mail server can be verified, and mail under a policy is deferred.",
             system_authorities(view));
  }
}

void judge_authorities(View& view) {
  const std::string file = view.value(kCaFile);
  const std::string path = view.value(kCaPath);
  const std::string anchors = view.value("smtp_tls_trust_anchor_file");
  const bool defaults = view.on("tls_append_default_CA");
  if (!anchors.empty()) {
    view.add(
        Code::TrustAnchors, "smtp_tls_trust_anchor_file",
        fmt::format("Only {} is trusted for mail under a policy. {} and {} are not used for it.",
                    anchors, kCaFile, kCaPath),
        {view.set("smtp_tls_trust_anchor_file", "")});
  }
  if (file.empty() && path.empty()) {
    view.add(
        Code::CaMissing, kCaFile,
        fmt::format("No certificate authorities are set, so no mail server can be verified and all "
                    "mail under a policy is deferred.{}",
                    defaults ? " tls_append_default_CA has no effect if neither CAfile nor CApath "
                               "is set."
                             : ""),
        system_authorities(view));
  } else {
    judge_ca_file(view, file);
    judge_ca_path(view, path, file.empty() && !defaults);
  }
}

void judge_mx_patterns(View& view) {
  constexpr std::string_view kName = "smtp_tls_enforce_sts_mx_patterns";
  if (view.value(kName) == "no") {
    view.add(Code::MxPatternsOff, kName,
             "The names of MX hosts are not compared with the policy, which RFC 8461 section 4.1 "
             "requires.",
             {view.set(kName, "yes")});
  }
}

void judge_old_ways(View& view) {
  if (!view.value("smtp_tls_per_site").empty() && !view.value("smtp_tls_policy_maps").empty()) {
    view.add(Code::TlsPerSite, "smtp_tls_per_site",
             "This parameter is ignored because smtp_tls_policy_maps is set. Move its entries to a "
             "table before mtastsd.",
             {view.set("smtp_tls_per_site", "")});
  }
}

void judge_logs_and_reports(View& view) {
  const std::string log_level = view.value("smtp_tls_loglevel");
  if (log_level == "0" || log_level == "none") {
    view.add(Code::TlsLog, "smtp_tls_loglevel",
             "The log does not show which connections were verified.",
             {view.set("smtp_tls_loglevel", "1")});
  }
  const auto tables = parse_tables(view.value("smtp_tls_policy_maps"));
  const auto& maps = view.facts.daemon.maps;
  const bool has_policy = std::any_of(tables.begin(), tables.end(), [&](const Table& table) {
    const auto map = table.socketmap ? maps.find(table.socketmap->name) : maps.end();
    return map != maps.end() && map->second.report_attributes;
  });
  if (view.on("smtp_tlsrpt_enable") && !has_policy) {
    view.add(Code::TlsrptWithoutPolicy, "smtp_tlsrpt_enable",
             "TLS reports are sent, but no map gives Postfix the policy for them.",
             view.remedy.lines);
  }
}

}  // namespace

std::vector<Finding> judge_tls(const Facts& facts, const SmtpService& service) {
  View view{facts, service, remedy_for(facts, service), {}};
  judge_level(view);
  judge_dane(view);
  judge_dns(view);
  judge_protocols(view, "smtp_tls_mandatory_protocols", Severity::High);
  judge_protocols(view, "smtp_tls_protocols", Severity::Medium);
  judge_ciphers(view);
  judge_authorities(view);
  judge_mx_patterns(view);
  judge_old_ways(view);
  judge_logs_and_reports(view);
  return view.found;
}

}  // namespace mtastsd::doctor
