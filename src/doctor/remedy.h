#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/doctor/facts.h"
#include "mtastsd/doctor/findings.h"
#include "mtastsd/postfix/profile.h"
#include "tables.h"

// What doctor says to write. The rules say what is wrong and take their lines from here. What a
// line sets depends on the facts alone and not on the finding, so two findings never give two
// values for one parameter, and all lines together give a main.cf that works. Pure.
namespace mtastsd::doctor {

inline constexpr std::string_view kMaps = "smtp_tls_policy_maps";
inline constexpr std::string_view kDnsSupport = "smtp_dns_support_level";

// The fix that sets a parameter in the file from which the service has it.
Fix set_parameter(const SmtpService& service, std::string_view name, std::string_view value);

// Restarts mtastsd, or starts it.
Fix restart_daemon(const Facts& facts);

// The level that the service uses for a domain without a policy.
std::string level_of(const Facts& facts, const SmtpService& service);

// The address in mtastsd's configuration that the table leads to, as str(); empty: none.
std::string listener_of(const Facts& facts, const SmtpService& service, const Table& table);

// Which of the tables is mtastsd: the one with an address from its configuration, or otherwise the
// first socketmap; tables.size() if there is none.
std::size_t find_mtastsd(const Facts& facts, const SmtpService& service,
                         const std::vector<Table>& tables);

// True if the table asks a socketmap from inside another table.
bool wraps_socketmap(const Table& table);

// True if this Postfix has no tables of that type.
bool unknown_type(const Facts& facts, const Table& table);

// True if the table was asked, cannot be used, and building it from its source would not help.
bool is_beyond_repair(const Facts& facts, const SmtpService& service, const Table& table);

// True if the text begins with a TLS level that smtp_tls_policy_maps can give.
bool begins_with_level(std::string_view text);

// The map that fits the version of Postfix, and DANE or its absence.
std::string recommended_map(const Facts& facts, bool dane);

// What mtastsd answers by in the first of the tables of smtp_tls_policy_maps that asks it, and that
// table; nullptr: none does.
struct UsedMap {
  std::string table;
  const postfix::Profile* profile = nullptr;
};
UsedMap used_map(const Facts& facts, const SmtpService& service);

// True if one of these is for a Postfix that does DANE.
bool any_map_does_dane(const Facts& facts);

// The value of smtp_tls_policy_maps, as right as it can be, for all services that share it.
struct Remedy {
  std::string table;        // the one that asks mtastsd
  std::string maps;         // the whole value
  std::vector<Fix> lines;   // sets it, if it is different now, and what mtastsd needs for it
  std::string dns_support;  // the value of smtp_dns_support_level that goes with it
};
Remedy remedy_for(const Facts& facts, const SmtpService& service);

// The lines that let Postfix's user connect to the socket at `path`.
std::vector<Fix> permission_lines(const Facts& facts, const std::string& path,
                                  const SocketReach& reach);

// What mtastsd needs so that Postfix reaches it after the other lines: where to listen, the
// directories of its sockets, and a restart if it does not answer yet. The same for all services.
std::vector<Fix> server_lines(const Facts& facts);

}  // namespace mtastsd::doctor
