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

// Scripts rely on the texts that finding_kinds() has for these, so they are stable.
enum class Code {
  Ca,
  CaExpired,
  CaFew,
  CaMissing,
  CaPathUseless,
  CaUnchecked,
  CaUnusable,
  ChrootPath,
  ClockUnsynchronised,
  Config,
  ConfigUnusable,
  ConnectionsFew,
  DaemonAddress,
  DaemonAnswers,
  DaemonElsewhere,
  DaemonSilent,
  DaemonStranger,
  DaemonUnchecked,
  DaneAndSts,
  DaneIgnoresErrors,
  DaneInsecureMx,
  DaneMapWithoutDnssec,
  DaneResolver,
  DaneResolverUnchecked,
  DaneWithoutDnssec,
  DnsDisabled,
  DnsFails,
  DnsRemote,
  DnsSlow,
  DnsWorks,
  HostName,
  ListenUnusable,
  MapBroken,
  MapHidden,
  MapMissing,
  MapNameUnknown,
  MapOffHere,
  MapOrder,
  MapSyntax,
  MapTwice,
  MapTypeUnknown,
  MapUnchecked,
  MapWrapped,
  MxPatternsOff,
  NotMtastsd,
  OnlineEnforced,
  OnlineNotEnforced,
  ParameterTwice,
  ParameterUnknown,
  PostfixSocketmap,
  PostfixVersion,
  Profile,
  ProfileNoSni,
  ProfileObserves,
  ProfileTesting,
  ProfileTooNew,
  ProfileTooOld,
  Proxy,
  ProxyReadMaps,
  Relayhost,
  Routes,
  SelfTest,
  SelfTestFails,
  SmtpMissing,
  Socket,
  SocketDenied,
  SocketGone,
  SocketPlace,
  SocketUnchecked,
  TlsCiphers,
  TlsLevel,
  TlsLevelNone,
  TlsLevelStrict,
  TlsLevelUnknown,
  TlsLog,
  TlsPerSite,
  TlsProtocols,
  TlsrptWithoutPolicy,
  TransportMissing,
  TransportOther,
  TrustAnchors,
  UnitDisabled,
  UnitFailed,
  Count,
};

using FindingKind = report::Kind<Code>;

// One for each Code, in their order. What a finding means depends on the host, so each has a text
// of its own.
std::span<const FindingKind> finding_kinds();

struct Finding {
  // The severity is that of the kind.
  Finding(Code code, std::string_view about, std::string sentence, std::vector<Fix> lines = {});

  const FindingKind* kind;
  Severity severity;
  std::string subject;  // usually a parameter of Postfix
  std::string text;
  std::vector<Fix> fixes;             // lines that fix the problem
  std::vector<std::string> services;  // of master.cf; empty: all of them
};

// Returns everything that is right or wrong, the worst first, and each thing once. Pure.
std::vector<Finding> judge(const Facts& facts);

// The rules, for judge(). The first two are for one service of master.cf.
std::vector<Finding> judge_maps(const Facts& facts, const SmtpService& service);
std::vector<Finding> judge_tls(const Facts& facts, const SmtpService& service);
std::vector<Finding> judge_machine(const Facts& facts);

}  // namespace mtastsd::doctor
