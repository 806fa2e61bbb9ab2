#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/doctor/facts.h"
#include "mtastsd/report/finding.h"

namespace mtastsd::doctor {

using Fix = report::FixLine;
using report::Severity;

// Stable: scripts rely on the texts that finding_kinds() has for them.
enum class Code {
  Ca,
  CaExpired,
  CaFew,
  CaMissing,
  CaPathUseless,
  CaUnchecked,
  CaUnusable,
  ChrootPath,
  Config,
  ConfigUnusable,
  ConnectionsFew,
  DaemonAddress,
  DaemonAnswers,
  DaemonSilent,
  DaemonUnchecked,
  DaneAndSts,
  DaneIgnoresErrors,
  DaneWithoutDnssec,
  DnsDisabled,
  HostName,
  MapBroken,
  MapHidden,
  MapMissing,
  MapNameUnknown,
  MapOffHere,
  MapOrder,
  MapSyntax,
  MapTwice,
  MapUnchecked,
  MxPatternsOff,
  PostfixSocketmap,
  PostfixVersion,
  Profile,
  ProfileNoSni,
  ProfileTesting,
  ProfileTooNew,
  ProfileTooOld,
  Proxy,
  ProxyReadMaps,
  Relayhost,
  SmtpMissing,
  Socket,
  SocketDenied,
  SocketGone,
  SocketPlace,
  SocketUnchecked,
  TlsLevel,
  TlsLevelNone,
  TlsLevelStrict,
  TlsLevelUnknown,
  TlsLog,
  TlsPerSite,
  TlsrptWithoutPolicy,
  TrustAnchors,
  Count,
};

using FindingKind = report::Kind<Code>;

// One for each Code, in their order. What one means depends on the machine, so that each finding
// has a text of its own.
std::span<const FindingKind> finding_kinds();

struct Finding {
  // With the severity of its kind.
  Finding(Code code, std::string_view about, std::string sentence, std::vector<Fix> lines = {});

  const FindingKind* kind;
  Severity severity;
  std::string subject;  // a parameter of Postfix, or what else it is about
  std::string text;
  std::vector<Fix> fixes;             // lines that put it right
  std::vector<std::string> services;  // of master.cf; empty: all of them
};

// Everything that is right or wrong, the worst first, each thing once. Pure.
std::vector<Finding> judge(const Facts& facts);

// The rules by what they look at, one service of master.cf at a time; for judge.
std::vector<Finding> judge_maps(const Facts& facts, const SmtpService& service);
std::vector<Finding> judge_tls(const Facts& facts, const SmtpService& service);
std::vector<Finding> judge_machine(const Facts& facts);

// For the rules: the fix that sets a parameter where the service has it from.
Fix set_parameter(const SmtpService& service, std::string_view name, std::string_view value);

// The table that asks mtastsd, as this Postfix should have it.
std::string recommended_table(const Facts& facts);
// The map's name in it.
std::string recommended_map(const Facts& facts);

}  // namespace mtastsd::doctor
