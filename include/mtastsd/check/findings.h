#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/check/facts.h"

namespace mtastsd::check {

struct Analysis;

enum class Severity {
  Info,    // good to know
  Low,     // works, and could be better
  Medium,  // the policy does not protect mail, or soon will not
  High,    // mail is refused by senders that apply the policy
};
std::string_view to_string(Severity severity);                  // "INFO", ...
std::optional<Severity> parse_severity(std::string_view text);  // in either case

// Stable: scripts rely on the texts that finding_kinds() has for them.
enum class Code {
  RecordUnknown,
  RecordMissing,
  RecordMultiple,
  RecordInvalid,
  RecordMisplaced,
  RecordMisspelt,
  PolicyWithoutRecord,
  RecordTtlLong,
  IdNoTimestamp,
  IdNotBumped,
  Unreachable,
  PolicyUnknown,
  HostNoAddress,
  HostLocalAddress,
  HostTlsFailed,
  HostCertUntrusted,
  HostCertExpired,
  HostCertName,
  HostCertExpiring,
  HttpStatus,
  Redirect,
  MediaType,
  TooLarge,
  Slow,
  PolicyOnApex,
  PolicyIsHtml,
  PolicyInvalid,
  ModeNone,
  ModeTesting,
  MaxAgeTiny,
  MaxAgeShort,
  MaxAgeLong,
  MaxAgeOverLimit,
  FieldMisspelt,
  FieldUnknown,
  FieldDuplicate,
  PatternUnmatchable,
  PatternFinalDot,
  PatternRepeated,
  LineEndsMixed,
  ByteOrderMark,
  BlankLines,
  MxMismatch,
  MxUnused,
  MxUnknown,
  DomainMissing,
  MxNull,
  MxNullMixed,
  MxImplicit,
  MxAlias,
  MxNoAddress,
  MxNotAHost,
  MxTooMany,
  SmtpUnknown,
  SmtpNoStarttls,
  SmtpTlsFailed,
  SmtpTlsOld,
  SmtpCertUntrusted,
  SmtpCertExpired,
  SmtpCertName,
  SmtpCertExpiring,
  TlsRptMissing,
  TlsRptMissingInTesting,
  TlsRptUnknown,
  TlsRptMultiple,
  TlsRptInvalid,
  TlsRptDestination,
  DanePresent,
  DanePartial,
  DaneUnsigned,
  DaneUnknown,
  CacheStale,
  CacheUnknown,
  Count,
};

struct FindingKind {
  Code id;
  std::string_view code;
  Severity severity;
  std::string_view meaning;
  std::string_view fix;  // empty: nothing to do
};

// One for each Code, in their order.
std::span<const FindingKind> finding_kinds();
const FindingKind& kind_of(Code code);

struct Finding {
  const FindingKind* kind;
  std::string detail;  // what it is about here, may be empty; printable
};

// The worst first, else in the order of Code.
std::vector<Finding> find(const Facts& facts, const Analysis& analysis);

// Whether something that the report is about could not be found out.
bool has_gaps(const Facts& facts);

// Limits of what is fine.
inline constexpr std::int64_t kFewDaysLeft = 14;
inline constexpr Seconds kTinyMaxAge{86400};
inline constexpr Seconds kShortMaxAge{7 * 86400};
inline constexpr Seconds kGoodMaxAge{14 * 86400};
inline constexpr Seconds kLongMaxAge{180 * 86400};
inline constexpr Seconds kLongTtl{86400};
inline constexpr Milliseconds kSlowFetch{10000};

}  // namespace mtastsd::check
