// Findings about the record, the policy host and the policy.

#include <algorithm>

#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "rules.h"
#include "shown.h"

namespace mtastsd::check {
namespace {

using mtasts::LineIssue;

constexpr CertificateCodes kHostCertificate = {Code::HostCertUntrusted, Code::HostCertExpired,
                                               Code::HostCertExpiring, Code::HostCertName};

constexpr std::pair<LineIssue, Code> kLineFindings[] = {
    {LineIssue::MisspeltField, Code::FieldMisspelt},
    {LineIssue::UnknownField, Code::FieldUnknown},
    {LineIssue::Duplicate, Code::FieldDuplicate},
    {LineIssue::UnmatchableMx, Code::PatternUnmatchable},
    {LineIssue::FinalDotMx, Code::PatternFinalDot},
    {LineIssue::RepeatedMx, Code::PatternRepeated},
    {LineIssue::Blank, Code::BlankLines}};

void find_record_fault(const Facts& facts, const Analysis& analysis, Findings& findings) {
  const auto& [fault, error] = *analysis.record_error;
  if (fault == mtasts::TxtFault::MultipleRecords) {
    add(findings, Code::RecordMultiple);
    return;
  }
  if (fault == mtasts::TxtFault::InvalidRecord) {
    add(findings, Code::RecordInvalid,
        "at byte " + std::to_string(error.offset) + ": " + error.detail);
    return;
  }
  add(findings, Code::RecordMissing);
  for (const std::string& text : analysis.near_misses) {
    add(findings, Code::RecordMisspelt, shown_in_quotes(text));
  }
  if (analysis.record_at_apex) {
    add(findings, Code::RecordMisplaced, "at " + facts.domain);
  }
  if (facts.record.value.dangling) {
    add(findings, Code::RecordDangling, "it leads to " + shown(facts.record.value.chain.back()));
  }
  if (analysis.policy) {
    add(findings, Code::PolicyWithoutRecord);
  }
}

void find_response(const Fetch& fetch, Findings& findings) {
  if (!fetch.error) {
    if (fetch.seen.took > kSlowFetch) {
      add(findings, Code::Slow, std::to_string(fetch.seen.took.count()) + " ms");
    }
    return;
  }
  switch (fetch.error->kind) {
    case https::ErrorKind::Tls:
      add(findings, Code::HostTlsFailed, shown(fetch.error->detail));
      break;
    case https::ErrorKind::Status:
      if (fetch.seen.status >= 300 && fetch.seen.status < 400) {
        add(findings, Code::Redirect, "to " + shown_in_quotes(fetch.seen.location));
      } else {
        add(findings, Code::HttpStatus, "status " + std::to_string(fetch.seen.status));
      }
      break;
    case https::ErrorKind::MediaType:
      add(findings, Code::MediaType,
          fetch.seen.media_type.empty() ? "none" : shown(fetch.seen.media_type));
      break;
    case https::ErrorKind::TooLarge:
      add(findings, Code::TooLarge, shown(fetch.error->detail));
      break;
    case https::ErrorKind::Certificate:  // has findings of its own
    case https::ErrorKind::Connect:
    case https::ErrorKind::Timeout:
    case https::ErrorKind::Protocol:
    case https::ErrorKind::Proxy:
      break;
  }
}

std::string line_number(const mtasts::PolicyLine& line) {
  return "line " + std::to_string(line.number);
}

// One finding for all lines of the same kind, which could be thousands.
void find_lines(const mtasts::AnnotatedPolicy& policy, LineIssue issue, Code code,
                Findings& findings) {
  constexpr std::size_t kMaxNamed = 5;
  std::size_t number = 0;
  std::string detail;
  for (const auto& line : policy.lines) {
    if (line.issue != issue || ++number > kMaxNamed) {
      continue;
    }
    detail += (number > 1 ? "; " : "") + line_number(line);
    if (!line.text.empty()) {
      detail += ": " + shown_in_quotes(line.text.substr(0, 60));
    }
  }
  if (number > kMaxNamed) {
    detail += "; and " + std::to_string(number - kMaxNamed) + " more";
  }
  if (number > 0) {
    add(findings, code, detail);
  }
}

void find_errors(const mtasts::AnnotatedPolicy& policy, Findings& findings) {
  constexpr std::size_t kMaxErrors = 5;
  std::size_t number = 0;
  for (const auto& line : policy.lines) {
    if (line.verdict == mtasts::LineVerdict::Error && ++number <= kMaxErrors) {
      add(findings, Code::PolicyInvalid, line_number(line) + ": " + line.comment);
    }
  }
  if (number > kMaxErrors) {
    add(findings, Code::PolicyInvalid,
        "and " + counted(number - kMaxErrors, "other line", "other lines"));
  }
  // After an error, a missing field is most often the one that is in error.
  if (number == 0 && !policy.missing.empty()) {
    add(findings, Code::PolicyInvalid, "no " + joined(policy.missing, ", no "));
  }
}

void find_form(const mtasts::AnnotatedPolicy& policy, Findings& findings) {
  for (const auto& [issue, code] : kLineFindings) {
    find_lines(policy, issue, code, findings);
  }
  const auto ends_in = [&](mtasts::LineEnd end) {
    return std::any_of(policy.lines.begin(), policy.lines.end(),
                       [end](const auto& line) { return line.end == end; });
  };
  if (ends_in(mtasts::LineEnd::Lf) && ends_in(mtasts::LineEnd::CrLf)) {
    add(findings, Code::LineEndsMixed);
  }
  if (policy.byte_order_mark) {
    add(findings, Code::ByteOrderMark);
  }
}

void find_max_age(Seconds max_age, mtasts::Mode mode, Findings& findings) {
  const std::string detail =
      std::to_string(max_age.count()) + " seconds, " + duration_text(max_age);
  if (max_age > mtasts::kMaxMaxAge) {
    add(findings, Code::MaxAgeOverLimit, std::to_string(max_age.count()) + " seconds");
  } else if (max_age > kLongMaxAge) {
    add(findings, Code::MaxAgeLong, detail);
  } else if (mode == mtasts::Mode::Testing) {
    return;
  } else if (max_age < kTinyMaxAge) {
    add(findings, Code::MaxAgeTiny, detail);
  } else if (max_age < kShortMaxAge) {
    add(findings, Code::MaxAgeShort, detail);
  }
}

void compare_with_cache(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (!facts.cache_asked) {
    return;
  }
  if (facts.cached.cannot_tell()) {
    add(findings, Code::CacheUnknown, shown(facts.cached.why));
  }
  if (!facts.cached.known() || !analysis.record) {
    return;
  }
  const CachedPolicy& cached = facts.cached.value;
  if (cached.id != analysis.record->id) {
    add(findings, Code::CacheStale,
        "cached " + shown(cached.id) + ", published " + analysis.record->id);
  } else if (const auto before = mtasts::parse_policy(cached.text);
             analysis.policy && before && *before != *analysis.policy) {
    add(findings, Code::IdNotBumped,
        "id " + analysis.record->id + ", cached on " + day_text(cached.fetched_at));
  }
}

// What is wrong with the attempt to get the policy from one address.
Findings findings_of(const Facts& facts, const Fetch& fetch) {
  Findings findings;
  if (fetch.seen.certificate) {
    find_certificate(facts, *fetch.seen.certificate, kHostCertificate, findings);
  }
  find_response(fetch, findings);
  return findings;
}

// Some of the addresses of a policy host give a policy, and some do not or give another one.
void compare_addresses(const PolicyHost& host, Findings& findings) {
  std::vector<std::string> failing;
  const Fetch* failed = nullptr;
  bool differ = false;
  for (const Fetch& fetch : host.by_address) {
    if (fetch.error) {
      failing.push_back(fetch.seen.address);
      failed = failed != nullptr ? failed : &fetch;
    } else {
      differ = differ || fetch.body != host.fetch.value.body;
    }
  }
  if (differ) {
    add(findings, Code::PolicyDiffers);
  }
  if (failed != nullptr && !host.fetch.value.error) {
    add(findings, Code::HostAddressFails,
        std::to_string(failing.size()) + " of " + std::to_string(host.by_address.size()) +
            " addresses (" + joined(failing) + "): " + shown(failed->error->detail));
  }
}

// What a policy without line breaks looks like.
bool is_one_line(std::string_view body) {
  const std::size_t end = body.find_last_not_of(" \t\r\n");
  body = body.substr(0, end == std::string_view::npos ? 0 : end + 1);
  return body.starts_with("version:") && body.find_first_of("\r\n") == std::string_view::npos &&
         body.find("mode:") != std::string_view::npos;
}

bool is_web_page(std::string_view body) {
  const std::size_t begin = body.find_first_not_of(" \t\r\n");
  return begin != std::string_view::npos && body[begin] == '<';
}

}  // namespace

bool policy_expected(const Analysis& analysis) {
  return analysis.record || !analysis.near_misses.empty() || analysis.record_at_apex ||
         (analysis.record_error && analysis.record_error->fault != mtasts::TxtFault::NoRecord);
}

void find_record(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (!facts.domain_exists) {
    add(findings, Code::DomainMissing);
  }
  if (facts.record.cannot_tell()) {
    add(findings, Code::RecordUnknown, shown(facts.record.why));
  } else if (analysis.record_error) {
    find_record_fault(facts, analysis, findings);
  } else {
    if (!analysis.id_time) {
      add(findings, Code::IdNoTimestamp, "id=" + analysis.record->id);
    }
    if (facts.record.value.ttl > kLongTtl) {
      add(findings, Code::RecordTtlLong, duration_text(facts.record.value.ttl));
    }
  }
  compare_with_cache(facts, analysis, findings);
}

void find_policy_host(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (!policy_expected(analysis) && !analysis.policy_at_apex) {
    return;
  }
  const PolicyHost& host = facts.policy_host;
  if (analysis.policy_at_apex) {
    add(findings, Code::PolicyOnApex);
  }
  if (host.addresses.absent()) {
    const auto& chain = host.addresses.value.chain;
    add(findings, Code::HostNoAddress,
        host.name + (chain.empty() ? "" : ", an alias of " + shown(chain.back())));
  } else if (host.fetch.absent()) {
    add(findings, Code::HostLocalAddress, shown(host.fetch.why));
  } else if (host.fetch.cannot_tell()) {
    add(findings, Code::PolicyUnknown,
        shown(host.addresses.cannot_tell() ? host.addresses.why : host.fetch.why));
    return;
  } else {
    std::vector<AddressFindings> addresses;
    for (const Fetch& fetch : host.by_address) {
      addresses.push_back({fetch.seen.address, findings_of(facts, fetch)});
    }
    if (addresses.empty()) {
      addresses.push_back({"", findings_of(facts, host.fetch.value)});
    }
    add_by_address(addresses, "", findings);
    compare_addresses(host, findings);
  }
  if (!host.fetch.known()) {
    add(findings, Code::Unreachable, host.addresses.absent() ? "no address" : "no public address");
  } else if (host.fetch.value.error) {
    add(findings, Code::Unreachable, shown(host.fetch.value.error->detail));
  }
}

void find_policy(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (!analysis.lines) {
    return;
  }
  if (!analysis.policy) {
    // A host without a record may serve whatever it likes.
    if (!policy_expected(analysis) && !facts.record.cannot_tell()) {
      return;
    }
    const std::string& body = facts.policy_host.fetch.value.body;
    if (is_web_page(body) || is_one_line(body)) {
      add(findings, is_web_page(body) ? Code::PolicyIsHtml : Code::LineBreaksMissing);
      return;
    }
    find_errors(*analysis.lines, findings);
  }
  find_form(*analysis.lines, findings);
  if (!analysis.policy) {
    return;
  }
  if (analysis.policy->mode == mtasts::Mode::None) {
    add(findings, Code::ModeNone);
    return;
  }
  if (analysis.policy->mode == mtasts::Mode::Testing) {
    add(findings, Code::ModeTesting);
  }
  if (analysis.lines->max_age) {
    find_max_age(*analysis.lines->max_age, analysis.policy->mode, findings);
  }
}

}  // namespace mtastsd::check
