#include "analysis.h"

#include <algorithm>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/check/findings.h"
#include "mtastsd/dane/usable.h"
#include "mtastsd/mtasts/mx_match.h"
#include "shown.h"

namespace mtastsd::check {
namespace {

// How much of the beginning of a record is looked at for a claim with a mistake in it.
constexpr std::size_t kLookAhead = 20;

// The beginning without blanks, quotes and case: "v = STSv1" and "\"V=stsv1" come to the same.
std::string plain_beginning(std::string_view text) {
  std::string plain;
  for (const char c : text.substr(0, kLookAhead)) {
    if (is_alnum(c) || c == '=') {
      plain += to_lower(c);
    }
  }
  return plain;
}

bool means_tlsrpt(std::string_view text) {
  return plain_beginning(text).starts_with("v=tlsrpt");
}

bool means_mta_sts(std::string_view text) {
  const std::string plain = plain_beginning(text);
  return plain.starts_with("v=sts") || plain.starts_with("versionstsv1") ||
         plain.starts_with("version=sts");
}

void read_record(const Facts& facts, Analysis& analysis) {
  if (facts.record.cannot_tell()) {
    return;
  }
  auto record = mtasts::select_txt_record(facts.record.value.records);
  if (record) {
    analysis.id_time = time_of_id(record->id);
    analysis.record = std::move(*record);
  } else {
    analysis.record_error = std::move(record.error());
  }
  for (const std::string& text : facts.record.value.records) {
    if (!mtasts::claims_mta_sts(text) && means_mta_sts(text)) {
      analysis.near_misses.push_back(text);
    }
  }
  analysis.record_at_apex =
      std::any_of(facts.apex_text.value.records.begin(), facts.apex_text.value.records.end(),
                  [](const std::string& text) { return means_mta_sts(text); });
}

void read_policy(const Facts& facts, Analysis& analysis) {
  const Fetch& apex = facts.apex_host.fetch.value;
  analysis.policy_at_apex =
      facts.apex_host.fetch.known() && !apex.error && mtasts::parse_policy(apex.body).has_value();
  const Fetch& fetch = facts.policy_host.fetch.value;
  if (!facts.policy_host.fetch.known() || fetch.error) {
    return;
  }
  analysis.lines = mtasts::annotate_policy(fetch.body);
  analysis.policy = analysis.lines->policy;
}

// True if there is something to connect to, as far as DNS says.
bool can_be_tried(const MxHost& host) {
  return host.name && !host.addresses.absent();
}

void compare_mx(const Facts& facts, Analysis& analysis) {
  const MailServers& mail = facts.mail.value;
  if (!analysis.policy || analysis.policy->mode == mtasts::Mode::None || !facts.mail.known() ||
      mail.null_mx) {
    return;
  }
  analysis.mx_compared = true;
  const auto& patterns = analysis.policy->mx;
  for (const MxHost& host : mail.hosts) {
    // RFC 8461 section 4.1.
    if (!host.name || !mtasts::matches_any(patterns, *host.name)) {
      analysis.uncovered.push_back(host.host);
    }
  }
  if (mail.left_out > 0) {
    return;  // one of those may be what a pattern is for
  }
  for (const mtasts::MxPattern& pattern : patterns) {
    const bool used = std::any_of(mail.hosts.begin(), mail.hosts.end(), [&](const MxHost& host) {
      return host.name && mtasts::matches(pattern, *host.name);
    });
    if (!used) {
      analysis.unused.push_back(pattern.str());
    }
  }
}

void count_refusals(const Facts& facts, Analysis& analysis) {
  if (!analysis.mx_compared) {
    return;
  }
  Refusal& refusal = analysis.refusal;
  refusal.hosts = facts.mail.value.left_out;
  for (const MxHost& host : facts.mail.value.hosts) {
    if (!can_be_tried(host)) {
      continue;
    }
    ++refusal.hosts;
    const std::size_t refused = static_cast<std::size_t>(
        std::count_if(host.smtp.begin(), host.smtp.end(),
                      [](const Fact<Smtp>& smtp) { return smtp.known() && !passes(smtp.value); }));
    const bool tried = facts.smtp_asked && !host.smtp.empty();
    if (!mtasts::matches_any(analysis.policy->mx, *host.name) ||
        (tried && refused == host.smtp.size())) {
      ++refusal.refused_hosts;
    } else if (tried) {
      refusal.addresses += host.smtp.size();
      refusal.refused_addresses += refused;
    }
  }
}

void read_tlsrpt(const Facts& facts, Analysis& analysis) {
  const std::string* claim = nullptr;
  for (const std::string& text : facts.tlsrpt.value.records) {
    if (claims_tlsrpt(text)) {
      ++analysis.tlsrpt_claims;
      claim = &text;
    } else if (means_tlsrpt(text)) {
      analysis.tlsrpt_near_misses.push_back(text);
    }
  }
  // RFC 8460 section 3: with more than one there is none.
  if (analysis.tlsrpt_claims != 1) {
    return;
  }
  auto record = parse_tlsrpt(*claim);
  if (record) {
    analysis.tlsrpt = std::move(*record);
  } else {
    analysis.tlsrpt_error = std::move(record.error());
  }
}

// RFC 7672 section 2.2: records count when DNSSEC vouches for them and for the MX records, and
// where one of them can be used (section 3.1).
void read_dane(const Facts& facts, Analysis& analysis) {
  const auto cannot = [&](std::string why) {
    analysis.dane = Dane::CannotTell;
    analysis.dane_why = std::move(why);
  };
  if (facts.mail.absent()) {
    analysis.dane = Dane::None;
    return;
  }
  if (!facts.mail.known()) {
    return cannot("the MX hosts are unknown");
  }
  std::size_t present = 0;
  std::size_t validated = 0;
  std::size_t usable = 0;
  for (const MxHost& host : facts.mail.value.hosts) {
    if (host.tlsa.cannot_tell()) {
      return cannot("TLSA records of " + shown(host.host) + ": " + host.tlsa.why);
    }
    present += host.tlsa.known() ? 1 : 0;
    if (host.tlsa.known() && host.tlsa_authenticated && facts.mail.value.authenticated) {
      ++validated;
      usable += usable_records(host) > 0 ? 1 : 0;
    }
  }
  if (present == 0) {
    analysis.dane = Dane::None;
  } else if (facts.validating.cannot_tell()) {
    cannot(facts.validating.why);
  } else if (!facts.validating.value) {
    cannot("there are TLSA records, but the DNS server in use does not validate DNSSEC");
  } else if (usable == facts.mail.value.hosts.size()) {
    analysis.dane = Dane::Everywhere;
  } else if (usable > 0) {
    analysis.dane = Dane::Partly;
  } else {
    analysis.dane = validated > 0 ? Dane::Unusable : Dane::Unsigned;
  }
}

}  // namespace

std::optional<WallTime> time_of_id(std::string_view id) {
  constexpr std::size_t kDate = 8;
  std::string digits;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const bool separator = (id[i] == 'T' && i == kDate) || (id[i] == 'Z' && i + 1 == id.size());
    if (!is_digit(id[i]) && !separator) {
      return std::nullopt;
    }
    if (!separator) {
      digits += id[i];
    }
  }
  constexpr std::size_t kFullTime = 14;
  if (digits.size() >= kDate && digits.size() <= kFullTime && digits.size() % 2 == 0 &&
      (digits.starts_with("19") || digits.starts_with("20"))) {
    std::string text = digits + std::string(kFullTime - digits.size(), '0') + "Z";
    for (const auto& [at, separator] : {std::pair(12, ":"), std::pair(10, ":"), std::pair(8, "T"),
                                        std::pair(6, "-"), std::pair(4, "-")}) {
      text.insert(static_cast<std::size_t>(at), separator);
    }
    if (const auto time = parse_timestamp(text)) {
      return time;
    }
  }
  constexpr std::size_t kUnixTime = 10;
  if (id.size() == kUnixTime && id.front() == '1' && all_digits(id)) {
    return WallTime(Seconds(std::stoll(digits)));
  }
  return std::nullopt;
}

bool has_no_mail_server(const Facts& facts) {
  const MailServers& mail = facts.mail.value;
  return facts.mail.absent() || (facts.mail.known() && !mail.null_mx && mail.left_out == 0 &&
                                 std::none_of(mail.hosts.begin(), mail.hosts.end(), can_be_tried));
}

bool passes(const Smtp& smtp) {
  return smtp.starttls && smtp.tls_error.empty() && smtp.certificate && smtp.certificate->good();
}

bool expires_soon(const https::Certificate& certificate, WallTime now) {
  const auto lifetime = certificate.not_after - certificate.not_before;
  return 3 * (certificate.not_after - now) < lifetime &&
         days_left(certificate.not_after, now) < kFewDaysLeft;
}

std::size_t usable_records(const MxHost& host) {
  const auto& records = host.tlsa.value;
  return static_cast<std::size_t>(std::count_if(records.begin(), records.end(), dane::is_usable));
}

std::int64_t days_left(WallTime end, WallTime now) {
  return std::chrono::floor<std::chrono::days>(end - now).count();
}

Analysis analyse(const Facts& facts) {
  Analysis analysis;
  read_record(facts, analysis);
  read_policy(facts, analysis);
  compare_mx(facts, analysis);
  count_refusals(facts, analysis);
  read_tlsrpt(facts, analysis);
  read_dane(facts, analysis);
  return analysis;
}

}  // namespace mtastsd::check
