// Facts in, findings out: one row for each thing that can be wrong, each a change to a Postfix
// where nothing is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "daemon_config.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/utf8.h"
#include "mtastsd/doctor/findings.h"
#include "mtastsd/doctor/report.h"
#include "postconf.h"
#include "remedy.h"
#include "tables.h"
#include "tests/source_dir.h"
#include "units.h"

namespace mtastsd::doctor {
namespace {

constexpr char kTcp[] = "socketmap:inet:127.0.0.1:8461:postfix";
constexpr char kMediumList[] = "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH";
constexpr char kUnix[] = "socketmap:unix:run/mtastsd/policy.sock:postfix";
constexpr char kSocket[] = "/var/spool/postfix/run/mtastsd/policy.sock";

// A Debian 12 with the lines of postfix/main.cf.postfix-3.4.
Facts good() {
  Facts facts;
  facts.version = "3.7.11";
  facts.config_directory = "/etc/postfix";
  facts.has_socketmap = true;
  facts.root = true;
  facts.daemon = config::defaults();
  facts.main = {{"default_process_limit", "100"},
                {"disable_dns_lookups", "no"},
                {"ignore_mx_lookup_error", "no"},
                {"mail_owner", "postfix"},
                {"proxy_read_maps", "proxy:unix:passwd.byname"},
                {"queue_directory", "/var/spool/postfix"},
                {"relayhost", ""},
                {"smtp_dns_support_level", ""},
                {"smtp_tls_CAfile", "/ca.pem"},
                {"smtp_tls_CApath", ""},
                {"smtp_tls_ciphers", "medium"},
                {"smtp_tls_mandatory_ciphers", "medium"},
                {"smtp_tls_mandatory_protocols", ">=TLSv1"},
                {"smtp_tls_protocols", ">=TLSv1"},
                {"tls_medium_cipherlist", kMediumList},
                {"smtp_tls_loglevel", "1"},
                {"smtp_tls_per_site", ""},
                {"smtp_tls_policy_maps", kTcp},
                {"smtp_tls_security_level", "may"},
                {"smtp_tls_trust_anchor_file", ""},
                {"tls_append_default_CA", "no"}};
  facts.services = {{"smtp/unix", true, {}}, {"relay/unix", true, {}}};
  facts.tables[{kTcp, true}] = {true, ""};
  facts.tables[{kTcp, false}] = {true, ""};
  facts.ca_files["/ca.pem"] = {"", 140, 0};
  facts.listeners["inet:127.0.0.1:8461"].answers = true;
  facts.defaults = {{"smtp_tls_mandatory_protocols", ">=TLSv1"},
                    {"smtp_tls_protocols", ">=TLSv1"},
                    {"tls_medium_cipherlist", kMediumList}};
  facts.other_services = {"local/unix", "pipe/unix"};
  facts.dns = DnsTrial{"", Milliseconds(3)};
  facts.impossible = Question{"x.invalid", kTcp, "NOTFOUND ", "", Milliseconds(5)};
  facts.types = {"btree",  "hash",      "inline", "pipemap",  "proxy",   "randmap",
                 "regexp", "socketmap", "static", "texthash", "unionmap"};
  return facts;
}

void listen_at(Facts& facts, const std::string& text) {
  facts.daemon.socketmap.listen = {*config::parse_listen(text)};
  facts.listeners[text].answers = true;
}

// The table is asked and answers, in the chroot and out of it.
void use_table(Facts& facts, const std::string& text) {
  facts.main["smtp_tls_policy_maps"] = text;
  for (const Table& table : parse_tables(text)) {
    for (const bool chroot : {false, true}) {
      facts.tables[{table.text, chroot}] = {true, ""};
    }
  }
}

void use_unix(Facts& facts) {
  listen_at(facts, std::string("unix:") + kSocket);
  use_table(facts, kUnix);
  facts.sockets[{"run/mtastsd/policy.sock", true}] = {};
}

void use_new_postfix(Facts& facts) {
  facts.version = "3.10.13";
  facts.main["smtp_tls_enforce_sts_mx_patterns"] = "yes";
  facts.main["smtp_tlsrpt_enable"] = "no";
  use_table(facts, "socketmap:inet:127.0.0.1:8461:postfixWithTLSRPT");
}

// Both Postfix and the map do DANE.
void use_dane(Facts& facts) {
  facts.main["smtp_tls_security_level"] = "dane";
  facts.main["smtp_dns_support_level"] = "dnssec";
  use_table(facts, "socketmap:inet:127.0.0.1:8461:dane");
}

void expect_nothing_wrong(const Facts& facts) {
  for (const Finding& one : judge(facts)) {
    EXPECT_THAT(one.severity, testing::AnyOf(Severity::Ok, Severity::Info))
        << one.kind->code << " " << one.text;
  }
}

TEST(Doctor, FindsNothingWhereAllIsWell) {
  expect_nothing_wrong(good());
  EXPECT_EQ(exit_status(judge(good())), 0);
  Facts facts = good();
  use_unix(facts);
  expect_nothing_wrong(facts);
  facts = good();
  use_new_postfix(facts);
  expect_nothing_wrong(facts);
  facts = good();
  facts.resolvers = {{"127.0.0.1:53", true, std::nullopt}};
  expect_nothing_wrong(facts);
  use_dane(facts);
  facts.resolvers = {{"127.0.0.1:53", true, true}};
  expect_nothing_wrong(facts);
  facts.main["smtp_tls_security_level"] = "may";  // DANE by the map alone
  expect_nothing_wrong(facts);
}

struct Case {
  std::string code;
  Severity severity;
  std::function<void(Facts&)> change;
  std::string file;  // of the first fix; empty: none
  std::string line;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.code;
}

void set(Facts& facts, const std::string& name, const std::string& value) {
  facts.main[name] = value;
}

std::vector<Case> map_cases() {
  const std::string maps = "smtp_tls_policy_maps = ";
  return {
      {"map_missing", Severity::High, [](Facts& f) { set(f, "smtp_tls_policy_maps", ""); },
       "main.cf", maps + kTcp},
      {"map_missing", Severity::High, [](Facts& f) { use_table(f, "hash:/etc/postfix/tls"); },
       "main.cf", maps + "hash:/etc/postfix/tls, " + kTcp},
      {"map_missing", Severity::High,
       [](Facts& f) {
         use_unix(f);
         set(f, "smtp_tls_policy_maps", "");
       },
       "main.cf", maps + kUnix},
      {"map_missing", Severity::High,
       [](Facts& f) {
         use_new_postfix(f);
         listen_at(f, "inet:0.0.0.0:9000");
         set(f, "smtp_tls_policy_maps", "");
       },
       "main.cf", maps + "socketmap:inet:127.0.0.1:9000:postfixWithTLSRPT"},
      {"map_syntax", Severity::High,
       [](Facts& f) { use_table(f, "socketmap:inet:127.0.0.1:8461"); }, "main.cf", maps + kTcp},
      {"map_off_here", Severity::Medium,
       [](Facts& f) { f.services[1].overrides["smtp_tls_policy_maps"] = ""; },
       "master.cf, below relay/unix", "-o { " + maps + kTcp + " }"},
      {"map_hidden", Severity::High,
       [](Facts& f) {
         use_table(f, std::string("hash:/a static:may ") + kTcp);
         f.tables[{"static:may", true}].everything = "may";
       },
       "main.cf", maps + "hash:/a, " + kTcp + ", static:may"},
      {"map_order", Severity::Info,
       [](Facts& f) { use_table(f, std::string("hash:/etc/postfix/tls, ") + kTcp); }, "", ""},
      {"map_twice", Severity::Medium,
       [](Facts& f) { use_table(f, std::string(kTcp) + " socketmap:inet:127.0.0.1:8461:QUERY"); },
       "main.cf", maps + kTcp},
      {"map_syntax", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_policy_maps", "sockmap:inet:127.0.0.1:8461:postfix"); },
       "main.cf", maps + kTcp},
      {"map_type_unknown", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_policy_maps", std::string("haash:/a ") + kTcp); }, "main.cf",
       maps + kTcp},
      {"map_wrapped", Severity::High,
       [](Facts& f) { use_table(f, std::string("unionmap:{") + kTcp + ", hash:/a}"); }, "main.cf",
       maps + kTcp + ", hash:/a"},
      {"map_wrapped", Severity::High,
       [](Facts& f) { use_table(f, std::string("randmap:{") + kTcp + "}"); }, "main.cf",
       maps + kTcp},
      {"map_wrapped", Severity::High,
       [](Facts& f) { use_table(f, std::string("pipemap:{hash:/a,") + kTcp + "}"); }, "main.cf",
       maps + kTcp},
      {"map_wrapped", Severity::Info,
       [](Facts& f) { use_table(f, std::string("pipemap:{") + kTcp + "}"); }, "main.cf",
       maps + kTcp},
      {"map_broken", Severity::High,
       [](Facts& f) {
         use_table(f, std::string("hash:/etc/postfix/tls ") + kTcp);
         f.tables[{"hash:/etc/postfix/tls", true}] = {false, "No such file", "", false, true};
       },
       "command", "postmap hash:/etc/postfix/tls"},
      {"map_broken", Severity::High,
       [](Facts& f) {
         use_table(f, std::string("hash:/etc/postfix/tls ") + kTcp);
         f.tables[{"hash:/etc/postfix/tls", true}] = {false, "No such file"};
       },
       "main.cf", maps + kTcp},
      {"map_broken", Severity::High,
       [](Facts& f) {
         use_table(f, std::string(kTcp) + " static:always");
         f.tables[{"static:always", true}].everything = "always";
       },
       "main.cf", maps + kTcp},
      {"map_unchecked", Severity::Unknown,
       [](Facts& f) {
         f.root = false;
         use_table(f, std::string("hash:/etc/postfix/tls ") + kTcp);
         f.tables[{"hash:/etc/postfix/tls", true}] = {false, "Permission denied", "", true};
       },
       "", ""},
      {"map_name_unknown", Severity::Medium,
       [](Facts& f) { use_table(f, "socketmap:inet:127.0.0.1:8461:sts"); }, "main.cf", maps + kTcp},
      {"profile_too_new", Severity::High,
       [](Facts& f) { use_table(f, "socketmap:inet:127.0.0.1:8461:postfixWithTLSRPT"); }, "main.cf",
       maps + kTcp},
      {"profile_too_new", Severity::High, [](Facts& f) { f.version = "3.3.2"; }, "main.cf",
       maps + "socketmap:inet:127.0.0.1:8461:outgoing"},
      {"profile_too_old", Severity::Medium,
       [](Facts& f) {
         use_new_postfix(f);
         use_table(f, kTcp);
       },
       "main.cf", maps + "socketmap:inet:127.0.0.1:8461:postfixWithTLSRPT"},
      {"profile_too_old", Severity::Info, [](Facts& f) { f.version = "3.10.2"; }, "main.cf",
       maps + "socketmap:inet:127.0.0.1:8461:postfixWithTLSRPT"},
      {"profile_no_sni", Severity::Medium,
       [](Facts& f) { f.daemon.maps["postfix"].servername = false; }, "main.cf",
       maps + "socketmap:inet:127.0.0.1:8461:outgoing"},
      {"profile_observes", Severity::Medium,
       [](Facts& f) { f.daemon.maps["postfix"].observe = true; }, "", ""},
      {"profile_testing", Severity::Info,
       [](Facts& f) { f.daemon.maps["postfix"].enforce_testing = true; }, "", ""},
      {"proxy_read_maps", Severity::High,
       [](Facts& f) { use_table(f, std::string("proxy:") + kTcp); }, "main.cf", maps + kTcp},
      {"proxy", Severity::Info,
       [](Facts& f) {
         use_table(f, std::string("proxy:") + kTcp);
         set(f, "proxy_read_maps", std::string("hash:/a proxy:") + kTcp);
       },
       "", ""},
      {"host_name", Severity::Info,
       [](Facts& f) { use_table(f, "socketmap:inet:localhost:8461:postfix"); }, "main.cf",
       maps + kTcp},
  };
}

std::vector<Case> daemon_cases() {
  const std::string maps = "smtp_tls_policy_maps = ";
  const std::string absolute = std::string("socketmap:unix:") + kSocket + ":postfix";
  return {
      {"daemon_silent", Severity::High,
       [](Facts& f) {
         f.tables[{kTcp, true}] = {false, "Connection refused"};
         f.listeners.clear();
       },
       "command", "systemctl restart mtastsd"},
      {"daemon_silent", Severity::High,
       [](Facts& f) {
         use_table(f, "socketmap:inet:127.0.0.1:8642:postfix");
         f.tables[{"socketmap:inet:127.0.0.1:8642:postfix", true}] = {false, "Connection refused"};
       },
       "main.cf", maps + kTcp},
      {"daemon_silent", Severity::High,
       [](Facts& f) {
         listen_at(f, "inet:[::1]:8461");
         f.tables[{kTcp, true}] = {false, "Connection refused"};
       },
       "main.cf", maps + "socketmap:inet:[::1]:8461:postfix"},
      {"daemon_address", Severity::Medium,
       [](Facts& f) { use_table(f, "socketmap:inet:127.0.0.1:8642:postfix"); }, "main.cf",
       maps + kTcp},
      {"daemon_unchecked", Severity::Unknown,
       [](Facts& f) {
         use_unix(f);
         f.root = false;
         f.tables[{kUnix, true}] = {false, "Permission denied", "", true};
       },
       "", ""},
      {"daemon_stranger", Severity::High,
       [](Facts& f) {
         f.strangers[{kTcp, true}] = "eve";
         f.strangers[{kTcp, false}] = "eve";
         f.listeners["inet:127.0.0.1:8461"] = {false, EADDRINUSE};
         f.spare_listen.port = 8462;
       },
       "main.cf", maps + "socketmap:inet:127.0.0.1:8462:postfix"},
      {"socket_unchecked", Severity::Unknown,
       [](Facts& f) {
         use_unix(f);
         f.root = false;
         f.sockets.clear();
       },
       "", ""},
      {"chroot_path", Severity::High,
       [=](Facts& f) {
         use_unix(f);
         use_table(f, absolute);
       },
       "main.cf", maps + kUnix},
      {"chroot_path", Severity::High,
       [](Facts& f) {
         listen_at(f, "unix:/run/mtastsd.sock");
         use_table(f, "socketmap:unix:/run/mtastsd.sock:postfix");
       },
       "main.cf", maps + kTcp},
      {"daemon_answers", Severity::Ok,
       [](Facts& f) {
         for (SmtpService& service : f.services) {
           service.chroot = false;
         }
         use_table(f, "socketmap:unix:/run/mtastsd-policy/socket:postfix");
         f.sockets[{"/run/mtastsd-policy/socket", false}] = {};
       },
       "", ""},
      {"socket_place", Severity::Medium,
       [](Facts& f) { use_table(f, "socketmap:unix:private/sts:postfix"); }, "main.cf",
       maps + kTcp},
      {"socket_denied", Severity::High,
       [](Facts& f) {
         use_unix(f);
         f.sockets[{"run/mtastsd/policy.sock", true}] = {EACCES, {{kSocket, "0755 root:root"}}};
       },
       "mtastsd.toml [socketmap]", "socket_group = \"postfix\""},
      {"socket_denied", Severity::High,
       [](Facts& f) {
         use_unix(f);
         f.sockets[{"run/mtastsd/policy.sock", true}] = {
             EACCES, {{"/var/spool/postfix/run/mtastsd", "0700 root:root"}}};
       },
       "command", "chmod o+x /var/spool/postfix/run/mtastsd"},
      {"socket_gone", Severity::High,
       [](Facts& f) {
         use_unix(f);
         f.sockets[{"run/mtastsd/policy.sock", true}] = {ENOENT};
         f.tables[{kUnix, true}] = {false, "No such file or directory"};
         f.listeners[std::string("unix:") + kSocket] = {false, ENOENT,
                                                        "/var/spool/postfix/run/mtastsd"};
       },
       "command", "install -d -g postfix -m 2770 /var/spool/postfix/run/mtastsd"},
      {"listen_unusable", Severity::High,
       [](Facts& f) {
         listen_at(f, "inet:192.0.2.1:8461");
         f.listeners["inet:192.0.2.1:8461"] = {false, EADDRNOTAVAIL};
       },
       "mtastsd.toml [socketmap]", "listen = [\"inet:127.0.0.1:8461\"]"},
      {"daemon_elsewhere", Severity::Info,
       [](Facts& f) {
         use_table(f, "socketmap:inet:192.0.2.1:8461:postfix");
         f.tables[{"socketmap:inet:192.0.2.1:8461:postfix", true}].elsewhere = true;
       },
       "", ""},
      {"config_unusable", Severity::High,
       [](Facts& f) {
         f.config_error = "mtastsd.toml:3: unknown key \"lisen\"";
         f.config_path = "/etc/mtastsd/mtastsd.toml";
         f.config_lines = {3};
       },
       "command", "sed -i '3s/^/#/' /etc/mtastsd/mtastsd.toml"},
      {"config_unusable", Severity::High,
       [](Facts& f) { f.config_error = "mtastsd.toml:3: unknown key \"lisen\""; }, "", ""},
      {"connections_few", Severity::Medium,
       [](Facts& f) { f.daemon.socketmap.max_connections = 199; }, "mtastsd.toml [socketmap]",
       "max_connections = 200"},
      {"postfix_version", Severity::High, [](Facts& f) { f.version = "2.9.6"; }, "", ""},
      {"postfix_socketmap", Severity::High, [](Facts& f) { f.has_socketmap = false; }, "", ""},
      {"smtp_missing", Severity::High, [](Facts& f) { f.services.clear(); }, "master.cf",
       "smtp unix - - n - - smtp"},
      {"relayhost", Severity::Info, [](Facts& f) { set(f, "relayhost", "[relay.example]:587"); },
       "", ""},
  };
}

std::vector<Case> tls_cases() {
  const std::string system = "smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt";
  return {
      {"tls_level_none", Severity::Medium, [](Facts& f) { set(f, "smtp_tls_security_level", ""); },
       "main.cf", "smtp_tls_security_level = may"},
      {"tls_level_none", Severity::Medium,
       [](Facts& f) { f.services[1].overrides["smtp_tls_security_level"] = "none"; },
       "master.cf, below relay/unix", "-o { smtp_tls_security_level = may }"},
      {"tls_level_strict", Severity::Info,
       [](Facts& f) { set(f, "smtp_tls_security_level", "verify"); }, "", ""},
      {"tls_level_strict", Severity::Info,
       [](Facts& f) {
         set(f, "smtp_tls_security_level", "");
         set(f, "smtp_enforce_tls", "yes");
       },
       "", ""},
      {"tls_level_unknown", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_security_level", "fingerprint"); }, "main.cf",
       "smtp_tls_security_level = encrypt"},
      {"tls_level_unknown", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_security_level", "always"); }, "main.cf",
       "smtp_tls_security_level = may"},
      {"dane_without_dnssec", Severity::Medium,
       [](Facts& f) { set(f, "smtp_tls_security_level", "dane"); }, "main.cf",
       "smtp_dns_support_level = dnssec"},
      {"dane_without_dnssec", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_security_level", "dane-only"); }, "main.cf",
       "smtp_dns_support_level = dnssec"},
      {"dane_ignores_errors", Severity::Medium,
       [](Facts& f) {
         set(f, "smtp_tls_security_level", "dane");
         set(f, "smtp_dns_support_level", "dnssec");
         set(f, "ignore_mx_lookup_error", "yes");
       },
       "main.cf", "ignore_mx_lookup_error = no"},
      {"dane_and_sts", Severity::High,
       [](Facts& f) {
         set(f, "smtp_tls_security_level", "dane");
         set(f, "smtp_dns_support_level", "dnssec");
       },
       "main.cf", "smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:dane"},
      {"dane_and_sts", Severity::High,
       [](Facts& f) {
         use_new_postfix(f);
         use_table(f, "hash:/a socketmap:inet:127.0.0.1:8461:postfixWithTLSRPT");
         set(f, "smtp_tls_security_level", "dane-only");
       },
       "main.cf", "smtp_tls_policy_maps = hash:/a, socketmap:inet:127.0.0.1:8461:daneWithTLSRPT"},
      {"dane_map_without_dnssec", Severity::High,
       [](Facts& f) { use_table(f, "socketmap:inet:127.0.0.1:8461:dane"); }, "main.cf",
       "smtp_dns_support_level = dnssec"},
      {"dane_insecure_mx", Severity::Info,
       [](Facts& f) {
         use_dane(f);
         set(f, "smtp_tls_dane_insecure_mx_policy", "dane");
       },
       "", ""},
      {"dane_resolver", Severity::High,
       [](Facts& f) {
         use_dane(f);
         f.resolvers = {{"192.0.2.53:53", false, true}};
       },
       "mtastsd.toml [dns]", "trust_ad = true"},
      {"dane_resolver", Severity::High,
       [](Facts& f) {
         use_dane(f);
         f.resolvers = {{"127.0.0.1:53", true, true}, {"127.0.0.2:53", true, false}};
       },
       "", ""},
      {"dane_resolver_unchecked", Severity::Unknown,
       [](Facts& f) {
         use_dane(f);
         f.resolvers = {{"127.0.0.1:53", true, std::nullopt}};
       },
       "", ""},
      {"dns_disabled", Severity::Medium,
       [](Facts& f) { set(f, "smtp_dns_support_level", "disabled"); }, "main.cf",
       "smtp_dns_support_level = enabled"},
      {"dns_disabled", Severity::Medium, [](Facts& f) { set(f, "disable_dns_lookups", "yes"); },
       "main.cf", "smtp_dns_support_level = enabled"},
      {"ca_missing", Severity::High, [](Facts& f) { set(f, "smtp_tls_CAfile", ""); }, "main.cf",
       system},
      {"ca_missing", Severity::High,
       [](Facts& f) {
         set(f, "smtp_tls_CAfile", "");
         set(f, "tls_append_default_CA", "yes");
       },
       "main.cf", system},
      {"ca_missing", Severity::High,
       [](Facts& f) { f.services[0].overrides["smtp_tls_CAfile"] = ""; },
       "master.cf, below smtp/unix", "-o { " + system + " }"},
      {"ca_unusable", Severity::High,
       [](Facts& f) {
         f.ca_files["/ca.pem"] = {"No such file or directory", 0, 0};
       },
       "main.cf", system},
      {"ca_unchecked", Severity::Unknown,
       [](Facts& f) {
         f.root = false;
         f.ca_files["/ca.pem"] = {"Permission denied", 0, 0};
       },
       "", ""},
      {"ca_expired", Severity::High,
       [](Facts& f) {
         f.ca_files["/ca.pem"] = {"", 0, 3};
       },
       "main.cf", system},
      {"ca_few", Severity::Info,
       [](Facts& f) {
         f.ca_files["/ca.pem"] = {"", 1, 0};
       },
       "main.cf", system},
      {"ca_path_useless", Severity::High,
       [](Facts& f) {
         set(f, "smtp_tls_CAfile", "");
         set(f, "smtp_tls_CApath", "/etc/ssl/certs");
         f.ca_paths[{"/etc/ssl/certs", true}] = {"No such file or directory", 0, 0};
       },
       "main.cf", system},
      {"ca_path_useless", Severity::High,
       [](Facts& f) {
         set(f, "smtp_tls_CAfile", "");
         set(f, "smtp_tls_CApath", "/etc/ssl/certs");
         f.ca_paths[{"/etc/ssl/certs", true}] = {"", 0, 0};
       },
       "main.cf", system},
      {"trust_anchors", Severity::Medium,
       [](Facts& f) { set(f, "smtp_tls_trust_anchor_file", "/ta.pem"); }, "main.cf",
       "smtp_tls_trust_anchor_file = "},
      // RFC 8461 section 4.1
      {"mx_patterns_off", Severity::Medium,
       [](Facts& f) {
         use_new_postfix(f);
         set(f, "smtp_tls_enforce_sts_mx_patterns", "no");
       },
       "main.cf", "smtp_tls_enforce_sts_mx_patterns = yes"},
      {"tls_per_site", Severity::Info, [](Facts& f) { set(f, "smtp_tls_per_site", "hash:/a"); },
       "main.cf", "smtp_tls_per_site = "},
      {"tls_log", Severity::Info, [](Facts& f) { set(f, "smtp_tls_loglevel", "0"); }, "main.cf",
       "smtp_tls_loglevel = 1"},
      {"tlsrpt_without_policy", Severity::Medium,
       [](Facts& f) {
         use_new_postfix(f);
         use_table(f, kTcp);
         set(f, "smtp_tlsrpt_enable", "yes");
       },
       "main.cf", "smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfixWithTLSRPT"},
  };
}

std::vector<Case> strength_cases() {
  return {
      {"tls_protocols", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_mandatory_protocols", "!TLSv1.2 !TLSv1.3"); }, "main.cf",
       "smtp_tls_mandatory_protocols = >=TLSv1"},
      {"tls_protocols", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_mandatory_protocols", "TLSv12"); }, "main.cf",
       "smtp_tls_mandatory_protocols = >=TLSv1"},
      {"tls_protocols", Severity::Medium,
       [](Facts& f) { set(f, "smtp_tls_mandatory_protocols", ">=TLSv1.3"); }, "main.cf",
       "smtp_tls_mandatory_protocols = >=TLSv1"},
      {"tls_protocols", Severity::Medium,
       [](Facts& f) { f.services[1].overrides["smtp_tls_protocols"] = "!TLSv1.2 !TLSv1.3"; },
       "master.cf, below relay/unix", "-o { smtp_tls_protocols = >=TLSv1 }"},
      {"tls_ciphers", Severity::High, [](Facts& f) { set(f, "smtp_tls_exclude_ciphers", "ALL"); },
       "main.cf", "smtp_tls_exclude_ciphers = "},
      {"tls_ciphers", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_mandatory_exclude_ciphers", "ECDHE"); }, "main.cf",
       "smtp_tls_mandatory_exclude_ciphers = "},
      {"tls_ciphers", Severity::High,
       [](Facts& f) {
         set(f, "smtp_tls_exclude_ciphers", "AES128");
         set(f, "smtp_tls_mandatory_exclude_ciphers", "AES256");
       },
       "main.cf", "smtp_tls_exclude_ciphers = "},
      {"tls_ciphers", Severity::High,
       [](Facts& f) { set(f, "smtp_tls_mandatory_ciphers", "null"); }, "main.cf",
       "smtp_tls_mandatory_ciphers = medium"},
      {"tls_ciphers", Severity::Medium, [](Facts& f) { set(f, "smtp_tls_ciphers", "best"); },
       "main.cf", "smtp_tls_ciphers = medium"},
      {"tls_ciphers", Severity::High, [](Facts& f) { set(f, "tls_medium_cipherlist", "!HIGH"); },
       "main.cf", std::string("tls_medium_cipherlist = ") + kMediumList},
  };
}

std::vector<Case> host_cases() {
  return {
      {"routes", Severity::Info,
       [](Facts& f) { set(f, "default_transport", "smtp:[smart.example]"); }, "", ""},
      {"routes", Severity::Info, [](Facts& f) { set(f, "transport_maps", "hash:/a"); }, "", ""},
      {"routes", Severity::Info,
       [](Facts& f) { set(f, "sender_dependent_relayhost_maps", "hash:/a"); }, "", ""},
      {"transport_other", Severity::Info, [](Facts& f) { set(f, "default_transport", "local"); },
       "", ""},
      {"transport_missing", Severity::High, [](Facts& f) { set(f, "default_transport", "smpt"); },
       "main.cf", "default_transport = smtp"},
      {"parameter_twice", Severity::Low, [](Facts& f) { f.twice = {"smtp_tls_policy_maps"}; }, "",
       ""},
      {"parameter_unknown", Severity::Low,
       [](Facts& f) { f.unknown = {"smtp_tls_securty_level=may"}; }, "", ""},
      {"dns_fails", Severity::Medium, [](Facts& f) { f.dns->error = "no server"; }, "", ""},
      {"dns_remote", Severity::Low,
       [](Facts& f) {
         f.resolvers = {{"127.0.0.1:53", true, std::nullopt},
                        {"192.0.2.53:53", false, std::nullopt}};
       },
       "", ""},
      {"dns_slow", Severity::Low, [](Facts& f) { f.dns->took = Milliseconds(1000); }, "", ""},
      {"dns_works", Severity::Ok, [](Facts& f) { f.dns->took = Milliseconds(999); }, "", ""},
      {"self_test", Severity::Ok, [](Facts&) {}, "", ""},
      {"self_test_fails", Severity::Medium,
       [](Facts& f) { f.impossible->reply = "OK secure match=x"; }, "", ""},
      {"self_test_fails", Severity::Medium,
       [](Facts& f) {
         f.impossible->reply = "";
         f.impossible->error = "no reply within 6 s";
       },
       "", ""},
      {"not_mtastsd", Severity::High,
       [](Facts& f) {
         use_table(f, "socketmap:inet:127.0.0.1:1:x");
         f.tables[{"socketmap:inet:127.0.0.1:1:x", true}].everything = "none";
       },
       "main.cf", std::string("smtp_tls_policy_maps = ") + kTcp},
      {"online_enforced", Severity::Ok,
       [](Facts& f) {
         f.online = Question{"a.example", kTcp, "OK secure match=b", "", {}};
       },
       "", ""},
      {"online_enforced", Severity::Ok,
       [](Facts& f) {
         f.online = Question{"a.example", kTcp, "OK dane-only", "", {}};
       },
       "", ""},
      {"online_not_enforced", Severity::Medium,
       [](Facts& f) {
         f.online = Question{"a.example", kTcp, "NOTFOUND ", "", {}};
       },
       "", ""},
      {"unit_failed", Severity::High,
       [](Facts& f) {
         f.units = {{"mtastsd.socket", "failed", "enabled"}};
       },
       "command", "systemctl restart mtastsd"},
      {"unit_disabled", Severity::Medium,
       [](Facts& f) {
         f.units = {{"mtastsd.service", "active", "disabled"},
                    {"mtastsd.socket", "inactive", "disabled"}};
       },
       "command", "systemctl enable mtastsd"},
      {"clock_unsynchronised", Severity::Low, [](Facts& f) { f.clock_unsynchronised = true; }, "",
       ""},
  };
}

bool has_line(const Facts& facts, const Fix& line) {
  const std::vector<Fix> lines = changes(facts, judge(facts));
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

TEST(Doctor, AServerOnAnotherHostStaysWhereItIs) {
  Facts facts = good();
  use_table(facts, "socketmap:inet:192.0.2.1:8461:postfixWithTLSRPT");
  facts.tables[{"socketmap:inet:192.0.2.1:8461:postfixWithTLSRPT", true}].elsewhere = true;
  facts.tables[{"socketmap:inet:192.0.2.1:8461:postfixWithTLSRPT", false}].elsewhere = true;
  EXPECT_TRUE(
      has_line(facts, {"main.cf", "smtp_tls_policy_maps = socketmap:inet:192.0.2.1:8461:postfix"}));
}

TEST(Doctor, OneTransportWithDaneNeedsDnssecForAll) {
  Facts facts = good();
  set(facts, "smtp_dns_support_level", "disabled");
  facts.services[1].overrides["smtp_tls_security_level"] = "dane";
  facts.services[1].overrides["smtp_tls_policy_maps"] = kTcp;
  EXPECT_TRUE(has_line(facts, {"main.cf", "smtp_dns_support_level = dnssec"}));
  EXPECT_FALSE(has_line(facts, {"main.cf", "smtp_dns_support_level = enabled"}));
}

TEST(Doctor, AuthoritiesAreMissedBesideTrustAnchors) {
  Facts facts = good();
  set(facts, "smtp_tls_trust_anchor_file", "/ta.pem");
  set(facts, "smtp_tls_CAfile", "");
  EXPECT_TRUE(has_line(facts, {"main.cf", "smtp_tls_trust_anchor_file = "}));
  EXPECT_TRUE(has_line(facts, {"main.cf", "smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt"}));
}

TEST(Doctor, AnEnabledSocketStartsTheService) {
  Facts facts = good();
  facts.units = {{"mtastsd.service", "active", "disabled"},
                 {"mtastsd.socket", "active", "enabled"}};
  expect_nothing_wrong(facts);
}

// The cases of all rules.
std::vector<Case> all_cases() {
  std::vector<Case> cases = map_cases();
  for (const auto& more : {daemon_cases(), tls_cases(), strength_cases(), host_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

class DoctorCase : public testing::TestWithParam<Case> {};

TEST_P(DoctorCase, IsFound) {
  const Case& expected = GetParam();
  Facts facts = good();
  expected.change(facts);
  const std::vector<Finding> findings = judge(facts);
  const auto found = std::find_if(findings.begin(), findings.end(), [&](const Finding& one) {
    return one.kind->code == expected.code && one.severity == expected.severity;
  });
  ASSERT_NE(found, findings.end()) << text_report(facts, findings, {});
  // Whole sentences, which may begin with the name of a program or a table.
  const std::string word = found->text.substr(0, found->text.find(' '));
  EXPECT_TRUE(!(word.at(0) >= 'a' && word.at(0) <= 'z') || word == "mtastsd" ||
              word.find_first_of("/:(") != std::string::npos)
      << found->text;
  EXPECT_TRUE(found->text.ends_with('.') && !found->text.ends_with("..")) << found->text;
  if (expected.line.empty()) {
    EXPECT_TRUE(found->fixes.empty());
  } else {
    ASSERT_FALSE(found->fixes.empty());
    EXPECT_EQ(found->fixes[0].file, expected.file);
    EXPECT_EQ(found->fixes[0].line, expected.line);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DoctorCase, testing::ValuesIn(all_cases()));

// The name that a line sets, with its file.
std::string place_of(const Fix& fix) {
  return fix.file + ": " + fix.line.substr(0, fix.line.find(" = "));
}

// Whatever two things are wrong, no two lines set one parameter differently.
TEST(Doctor, LinesNeverContradictEachOther) {
  std::vector<Case> cases = all_cases();
  // Without smtp(8) nothing else can be wrong.
  std::erase_if(cases, [](const Case& one) { return one.code == "smtp_missing"; });
  for (auto one = cases.begin(); one != cases.end(); ++one) {
    for (auto other = one; other != cases.end(); ++other) {
      Facts facts = good();
      one->change(facts);
      other->change(facts);
      if (one->code != "tls_ciphers" && other->code != "tls_ciphers") {
        facts.main.erase("tls_medium_cipherlist");  // OpenSSL takes long to read it
      }
      std::map<std::string, std::string> lines;
      for (const Fix& fix : changes(facts, judge(facts))) {
        if (fix.file != "command") {
          ASSERT_TRUE(lines.emplace(place_of(fix), fix.line).second)
              << one->code << " and " << other->code << ": " << lines[place_of(fix)] << " and "
              << fix.line;
        }
      }
    }
  }
}

// A line that doctor gives has to be one that it takes.
TEST(Doctor, FixedLinesAreFoundGood) {
  std::vector<Case> cases = map_cases();
  for (const auto& more : {tls_cases(), strength_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  for (const Case& one : cases) {
    if (one.file != "main.cf" || one.severity > Severity::Medium) {
      continue;
    }
    SCOPED_TRACE(one.code + ": " + one.line);
    Facts facts = good();
    one.change(facts);
    const std::size_t equal = one.line.find(" = ");
    const std::string name = one.line.substr(0, equal);
    const std::string value = one.line.substr(equal + 3);
    facts.ca_files["/etc/ssl/certs/ca-certificates.crt"] = {"", 140, 0};
    facts.daemon.maps["outgoing"] = *postfix::profile_for_postfix(facts.version);
    facts.main[name] = value;
    if (name == "smtp_tls_policy_maps") {
      use_table(facts, value);
    }
    for (const Finding& left : judge(facts)) {
      EXPECT_NE(left.kind->code, one.code) << left.text;
    }
  }
}

TEST(Doctor, ServicesOfMasterCfAreNamedWhereTheyDiffer) {
  Facts facts = good();
  facts.services[1].overrides["smtp_tls_CAfile"] = "";
  for (const Finding& one : judge(facts)) {
    if (one.kind->code == "ca_missing") {
      EXPECT_THAT(one.services, testing::ElementsAre("relay/unix"));
    } else if (one.kind->code == "daemon_answers") {
      EXPECT_THAT(one.services, testing::IsEmpty());
    }
  }
}

TEST(Doctor, WithoutItsConfigurationNothingIsSaidAboutAddresses) {
  Facts facts = good();
  facts.config_error = "x";
  use_table(facts, "socketmap:inet:127.0.0.1:9999:mine");
  for (const Finding& one : judge(facts)) {
    EXPECT_NE(one.kind->code, "daemon_address");
    EXPECT_NE(one.kind->code, "map_name_unknown");
  }
}

TEST(Doctor, ExitStatusIsTheWorstFinding) {
  const Finding ok(Code::Ca, "", "");
  const Finding info(Code::CaFew, "", "");
  const Finding unknown(Code::CaUnchecked, "", "");
  const Finding medium(Code::TlsLevelNone, "", "");
  const Finding high(Code::CaMissing, "", "");
  EXPECT_EQ(exit_status({ok, info}), 0);
  EXPECT_EQ(exit_status({ok, unknown}), 2);
  EXPECT_EQ(exit_status({unknown, medium}), 1);
  EXPECT_EQ(exit_status({high}), 1);
}

std::set<std::string> all_codes() {
  std::set<std::string> codes;
  for (const Case& one : all_cases()) {
    Facts facts = good();
    one.change(facts);
    for (const Finding& finding : judge(facts)) {
      codes.emplace(finding.kind->code);
    }
  }
  Facts facts = good();
  use_unix(facts);
  for (const Finding& finding : judge(facts)) {
    codes.emplace(finding.kind->code);
  }
  return codes;
}

TEST(Doctor, SchemaKnowsEveryCode) {
  std::ifstream file(MTASTSD_SOURCE_DIR "/contrib/schema/doctor.json");
  const auto schema = nlohmann::json::parse(file);
  std::set<std::string> known;
  for (const auto& code : schema["properties"]["findings"]["items"]["properties"]["code"]["enum"]) {
    known.insert(code.get<std::string>());
  }
  EXPECT_EQ(all_codes(), known);
}

TEST(DoctorReport, JsonHasEveryFindingWithItsFixes) {
  Facts facts = good();
  facts.main["smtp_tls_CAfile"] = "";
  const auto findings = judge(facts);
  const auto report = nlohmann::json::parse(json_report(facts, findings));
  EXPECT_EQ(report["postfix_version"], "3.7.11");
  EXPECT_EQ(report["high"], 1);
  ASSERT_EQ(report["findings"].size(), findings.size());
  EXPECT_EQ(report["findings"][0]["code"], "ca_missing");
  EXPECT_EQ(report["findings"][0]["severity"], "HIGH");
  EXPECT_EQ(report["findings"][0]["lines"][0]["file"], "main.cf");
  ASSERT_EQ(report["changes"].size(), 2u);
  EXPECT_EQ(report["changes"][0], report["findings"][0]["lines"][0]);
  EXPECT_EQ(report["changes"][1]["line"], "postfix reload");
}

TEST(DoctorReport, JsonSurvivesBytesThatAreNoUtf8) {
  Facts facts = good();
  facts.main["relayhost"] = "\xff\xfe";
  EXPECT_TRUE(nlohmann::json::accept(json_report(facts, judge(facts))));
}

TEST(DoctorReport, TextIsWrappedAndItsLinesToCopyAreNot) {
  Facts facts = good();
  facts.main["smtp_tls_CAfile"] = "";
  const std::string text = text_report(facts, judge(facts), {});
  EXPECT_THAT(text, testing::StartsWith("Postfix 3.7.11 in /etc/postfix: 1 HIGH\n"));
  EXPECT_THAT(text, testing::HasSubstr("\n               smtp_tls_CAfile = "
                                       "/etc/ssl/certs/ca-certificates.crt\n"));
  EXPECT_THAT(text, testing::HasSubstr("postfix reload"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("\x1b")));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("               ")) {
      continue;
    }
    EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(DoctorReport, TextFromElsewhereCannotSteerTheTerminal) {
  Facts facts = good();
  // An escape sequence, a C1 control, and marks that reorder text.
  const std::string hostile =
      "\x1b[2J\r\x7f\xc2\x9b\xe2\x80\xae\xe2\x80\x8e\xe2\x81\xa6\xd8\x9c\xef\xbb\xbfx";
  for (const char* name : {"relayhost", "smtp_tls_security_level", "smtp_tls_CAfile",
                           "smtp_tls_trust_anchor_file", "queue_directory"}) {
    facts.main[name] = hostile;
  }
  facts.main["smtp_tls_policy_maps"] = "hash:" + hostile + ", " + kTcp;
  facts.config_error = facts.version = facts.config_directory = hostile;
  facts.services[0].name = hostile;
  const std::string text = text_report(facts, judge(facts), {true, false, 60});
  EXPECT_THAT(text, testing::HasSubstr("\\x1b[2J"));
  std::string one_line = text;
  std::replace(one_line.begin(), one_line.end(), '\n', ' ');
  EXPECT_EQ(printable(one_line), one_line);
  std::string json = json_report(facts, judge(facts));
  std::erase(json, '\n');
  EXPECT_EQ(printable(json), json);
  EXPECT_TRUE(is_ascii(json));
  EXPECT_THAT(text_report(good(), judge(good()), {true, true, 60}),
              testing::HasSubstr("\x1b[32mOK"));
}

TEST(DoctorTables, AreReadAsPostfixDoes) {
  const auto tables = parse_tables(
      "hash:/etc/a,proxy:socketmap:inet:[::1]:8461:QUERY\n inline:{a=may, b=none} "
      "socketmap:unix:run/x.sock:postfix");
  ASSERT_EQ(tables.size(), 4u);
  EXPECT_EQ(tables[0].type, "hash");
  ASSERT_TRUE(tables[1].socketmap);
  EXPECT_TRUE(tables[1].proxied);
  EXPECT_EQ(tables[1].socketmap->host, "::1");
  EXPECT_EQ(tables[1].socketmap->port, "8461");
  EXPECT_EQ(tables[1].socketmap->name, "QUERY");
  EXPECT_EQ(tables[1].str(), "proxy:socketmap:inet:[::1]:8461:QUERY");
  EXPECT_EQ(tables[2].text, "inline:{a=may, b=none}");
  EXPECT_EQ(tables[3].socketmap->path, "run/x.sock");
  for (const char* bad : {"socketmap:", "socketmap:inet:8461:postfix", "socketmap:unix::x",
                          "socketmap:tcp:h:1:x", "socketmap:inet:h:1:"}) {
    EXPECT_FALSE(parse_tables(bad)[0].socketmap) << bad;
  }
}

TEST(DoctorTables, PathsAreThoseOfTheChroot) {
  EXPECT_EQ(real_path("run/x", true, "/q"), "/q/run/x");
  EXPECT_EQ(real_path("run/x", false, "/q"), "/q/run/x");
  EXPECT_EQ(real_path("/run/x", true, "/q"), "/q/run/x");
  EXPECT_EQ(real_path("/run/x", false, "/q"), "/run/x");
}

TEST(DoctorPostconf, MasterCfIsReadByFields) {
  const Master master = parse_master(
      "smtp/inet/command = smtpd\nsmtp/inet/chroot = y\n"
      "smtp/unix/chroot = -\nsmtp/unix/command = smtp\n"
      "relay/unix/chroot = y\nrelay/unix/command = smtp -o syslog_name=x\n"
      "lmtp/unix/chroot = y\nlmtp/unix/command = lmtp\n"
      "proxymap/unix/chroot = n\nproxymap/unix/command = proxymap\n",
      "relay/unix/smtp_tls_policy_maps = hash:/a = b\nsmtp/inet/smtp_tls_CAfile = /x\n", true);
  ASSERT_EQ(master.smtp.size(), 2u);
  EXPECT_EQ(master.smtp[0].name, "smtp/unix");
  EXPECT_TRUE(master.smtp[0].chroot);
  EXPECT_TRUE(master.smtp[0].overrides.empty());
  EXPECT_EQ(master.smtp[1].overrides.at("smtp_tls_policy_maps"), "hash:/a = b");
  EXPECT_FALSE(master.proxymap_chroot);
  EXPECT_FALSE(
      parse_master("smtp/unix/chroot = -\nsmtp/unix/command = smtp\n", "", false).smtp[0].chroot);
}

TEST(DoctorPostconf, WarningsAreAboutParameters) {
  const Warnings warnings = parse_warnings(
      "postconf: warning: /etc/postfix/main.cf, line 3: overriding earlier entry: a=hash:/b=c\n"
      "postconf: warning: /etc/postfix/main.cf, line 4: overriding earlier entry: a=x\n"
      "postconf: warning: /etc/postfix/main.cf: unused parameter: smtp_tls_levl=may\n"
      "postconf: something else");
  EXPECT_THAT(warnings.twice, testing::ElementsAre("a"));
  EXPECT_THAT(warnings.unknown, testing::ElementsAre("smtp_tls_levl=may"));
}

TEST(DoctorUnits, OnlyThoseThatAreLoaded) {
  const auto units = parse_units(
      "Id=mtastsd.service\nLoadState=loaded\nActiveState=failed\nUnitFileState=disabled\n\n"
      "Id=mtastsd.socket\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n\n"
      "Id=mtastsd-unix.socket\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n");
  ASSERT_EQ(units.size(), 2u);
  EXPECT_EQ(units[0].name, "mtastsd.service");
  EXPECT_EQ(units[0].active, "failed");
  EXPECT_EQ(units[0].enabled, "disabled");
  EXPECT_EQ(units[1].name, "mtastsd-unix.socket");
}

TEST(DoctorDaemonConfig, WrongLinesAreLeftOut) {
  const Repaired repaired = without_wrong_lines(
      "[resolver]\nanswer_timout = \"5s\"\n[socketmap]\nlisten = [\"inet:127.0.0.1:9\"]\n"
      "threads = 900\n");
  EXPECT_THAT(repaired.lines, testing::UnorderedElementsAre(2, 5));
  EXPECT_EQ(repaired.config.socketmap.listen.front().str(), "inet:127.0.0.1:9");
  EXPECT_THAT(without_wrong_lines("[socketmap]\nlisten = [\n\"x\"\n").lines, testing::IsEmpty());
}

}  // namespace
}  // namespace mtastsd::doctor
