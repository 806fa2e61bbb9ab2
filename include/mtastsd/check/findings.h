#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/check/facts.h"
#include "mtastsd/report/finding.h"

namespace mtastsd::check {

struct Analysis;

using report::parse_severity;
using report::Severity;

// Scripts rely on the texts that finding_kinds() has for these, so they are stable.
enum class Code {
  RecordUnknown,
  RecordMissing,
  RecordMultiple,
  RecordInvalid,
  RecordMisplaced,
  RecordMisspelt,
  RecordDangling,
  PolicyWithoutRecord,
  RecordTtlLong,
  IdNoTimestamp,
  IdNotBumped,
  Unreachable,
  PolicyUnknown,
  HostNoAddress,
  HostLocalAddress,
  HostAddressFails,
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
  PolicyDiffers,
  PolicyOnApex,
  PolicyIsHtml,
  LineBreaksMissing,
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
  MailServerMissing,
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
  TlsRptMisspelt,
  TlsRptDestination,
  DanePresent,
  DanePartial,
  DaneUnsigned,
  DaneUnusable,
  DaneUnknown,
  CacheStale,
  CacheUnknown,
  Count,
};

using FindingKind = report::Kind<Code>;

// One for each Code, in their order.
std::span<const FindingKind> finding_kinds();
const FindingKind& kind_of(Code code);

struct Finding {
  const FindingKind* kind;
  std::string detail;                  // what this finding is about; can be empty; printable
  std::string fix;                     // what to do about it here; can be empty; printable
  std::vector<report::FixLine> lines;  // to be pasted
};

// Sorts the worst first, and otherwise in the order of Code.
std::vector<Finding> find(const Facts& facts, const Analysis& analysis);

// True if something that the report is about could not be determined.
bool has_gaps(const Facts& facts);

// True if the SMTP of an MX host was asked for and could not be determined.
bool has_smtp_gap(const Facts& facts);

// The limits of what is good. Those of max_age are for mode enforce: while a policy is in testing,
// a short life is right.
inline constexpr std::int64_t kFewDaysLeft = 14;
inline constexpr Seconds kTinyMaxAge{86400};
inline constexpr Seconds kShortMaxAge{7 * 86400};
inline constexpr Seconds kGoodMaxAge{14 * 86400};
inline constexpr Seconds kLongMaxAge{180 * 86400};
inline constexpr Seconds kLongTtl{86400};
inline constexpr Milliseconds kSlowFetch{10000};

}  // namespace mtastsd::check
