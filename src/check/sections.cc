#include "sections.h"

#include <algorithm>

#include "analysis.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "shown.h"

namespace mtastsd::check {
namespace {

constexpr std::size_t kMaxLinesShown = 60;
constexpr std::size_t kMaxNamesListed = 6;
constexpr std::size_t kMaxRecordsShown = 10;

template <typename List, typename ToText>
std::string listed(const List& list, ToText to_text) {
  std::string text;
  std::size_t shown = 0;
  for (const auto& item : list) {
    if (shown++ == kMaxNamesListed) {
      return text + ", and " + std::to_string(list.size() - kMaxNamesListed) + " more";
    }
    text += (text.empty() ? "" : ", ") + to_text(item);
  }
  return text;
}

std::string names(const std::vector<std::string>& list) {
  return listed(list, [](const std::string& name) { return shown(name); });
}

template <typename T>
Line unknown_line(std::string label, const Fact<T>& fact) {
  return {std::move(label), "unknown: " + shown(fact.why), Mark::Unknown};
}

void add_chain(const std::vector<std::string>& chain, std::vector<Line>& lines) {
  if (!chain.empty()) {
    lines.push_back({"alias of", names(chain), Mark::None});
  }
}

void add_records(const Fact<TextRecords>& fact, std::vector<Line>& lines) {
  if (fact.cannot_tell()) {
    lines.push_back(unknown_line("TXT", fact));
    return;
  }
  if (fact.value.records.empty()) {
    lines.push_back({"TXT", "none", Mark::None});
  }
  std::size_t shown = 0;
  for (const std::string& text : fact.value.records) {
    if (shown++ == kMaxRecordsShown) {
      lines.push_back(
          {"TXT", "and " + std::to_string(fact.value.records.size() - kMaxRecordsShown) + " more",
           Mark::None});
      break;
    }
    lines.push_back({"TXT", shown_in_quotes(text), Mark::None});
  }
  add_chain(fact.value.chain, lines);
  if (fact.known()) {
    lines.push_back({"TTL", duration_text(fact.value.ttl), Mark::None});
  }
}

Section record_section(const Facts& facts, const Analysis& analysis) {
  Section section{"Record at _mta-sts." + facts.domain, {}};
  add_records(facts.record, section.lines);
  if (analysis.record) {
    section.lines.push_back(
        {"id",
         analysis.record->id +
             (analysis.id_time ? ", a date: " + timestamp(*analysis.id_time) : ", not a date"),
         Mark::Good});
  } else if (analysis.record_error &&
             analysis.record_error->fault == mtasts::TxtFault::InvalidRecord) {
    const auto& error = analysis.record_error->error;
    section.lines.push_back(
        {"fault", "at byte " + std::to_string(error.offset) + ": " + error.detail, Mark::Error});
  } else if (analysis.record_error &&
             analysis.record_error->fault == mtasts::TxtFault::MultipleRecords) {
    section.lines.push_back({"fault", "more than one MTA-STS record", Mark::Error});
  }
  return section;
}

std::string addresses(const AddressRecords& found) {
  const auto text = [](const IpAddress& address) { return address.str(); };
  std::string result = listed(found.v6, text);
  const std::string v4 = listed(found.v4, text);
  return result + (result.empty() || v4.empty() ? "" : ", ") + v4;
}

void add_addresses(const Fact<AddressRecords>& fact, std::vector<Line>& lines) {
  if (fact.cannot_tell()) {
    lines.push_back(unknown_line("addresses", fact));
  } else if (fact.absent()) {
    lines.push_back({"addresses", "none", Mark::None});
  } else {
    lines.push_back({"addresses", addresses(fact.value), Mark::None});
    add_chain(fact.value.chain, lines);
  }
}

std::string validity(const https::Certificate& certificate, WallTime now) {
  const std::int64_t left = days_left(certificate.not_after, now);
  std::string text = "until " + day_text(certificate.not_after);
  if (left >= 0) {
    return text + ", " + counted(static_cast<std::size_t>(left), "day", "days") + " left";
  }
  return text + ", over";
}

std::string verdict_on(const https::Certificate& certificate) {
  if (certificate.good()) {
    return "trusted";
  }
  std::string text;
  for (const auto& [good, word] : {std::pair(certificate.chain_trusted, "not trusted"),
                                   std::pair(certificate.in_time, "not valid now"),
                                   std::pair(certificate.name_matches, "for another name")}) {
    if (!good) {
      text += (text.empty() ? "" : ", ") + std::string(word);
    }
  }
  return text;
}

void add_certificate(const https::Certificate& certificate, WallTime now,
                     std::vector<Line>& lines) {
  lines.push_back({"certificate",
                   verdict_on(certificate) + "; by " + shown(certificate.issuer) + ", " +
                       validity(certificate, now),
                   certificate.good() ? Mark::Good : Mark::Error});
  lines.push_back({"its names", certificate.names.empty() ? "none" : names(certificate.names),
                   certificate.name_matches ? Mark::None : Mark::Error});
}

void add_fetch(const PolicyHost& host, WallTime now, std::vector<Line>& lines) {
  if (host.fetch.cannot_tell()) {
    lines.push_back(unknown_line("answer", host.fetch));
    return;
  }
  if (!host.fetch.known()) {
    return;
  }
  const Fetch& fetch = host.fetch.value;
  const https::Observation& seen = fetch.seen;
  if (!seen.tls_version.empty()) {
    lines.push_back({"TLS", seen.tls_version + (seen.address.empty() ? "" : " at " + seen.address),
                     Mark::None});
  }
  if (seen.certificate) {
    add_certificate(*seen.certificate, now, lines);
  }
  if (seen.status != 0) {
    std::string text = "status " + std::to_string(seen.status);
    text += seen.media_type.empty() ? ", no media type" : ", " + shown(seen.media_type);
    text += seen.location.empty() ? "" : ", to " + shown_in_quotes(seen.location);
    text += fetch.error ? "" : ", " + counted(seen.body_size, "byte", "bytes");
    lines.push_back({"answer", text + ", " + std::to_string(seen.took.count()) + " ms",
                     fetch.error ? Mark::Error : Mark::Good});
  }
  if (fetch.error) {
    lines.push_back({"fault", shown(fetch.error->detail), Mark::Error});
  }
}

Mark mark_of(mtasts::LineVerdict verdict) {
  switch (verdict) {
    case mtasts::LineVerdict::Good:
      return Mark::Good;
    case mtasts::LineVerdict::Note:
      return Mark::Note;
    case mtasts::LineVerdict::Fault:
      return Mark::Fault;
    case mtasts::LineVerdict::Error:
      return Mark::Error;
  }
  return Mark::None;
}

Section policy_section(const Analysis& analysis) {
  Section section{"Policy, line by line", {}};
  const auto& lines = analysis.lines->lines;
  for (const auto& line : lines) {
    if (line.number > kMaxLinesShown) {
      section.lines.push_back(
          {"", "and " + std::to_string(lines.size() - kMaxLinesShown) + " more lines", Mark::None});
      break;
    }
    section.lines.push_back(
        {std::to_string(line.number),
         printable(line.text, 120) + (line.comment.empty() ? "" : "  <- " + line.comment),
         mark_of(line.verdict)});
  }
  for (const auto& name : analysis.lines->missing) {
    section.lines.push_back({"", "no " + std::string(name), Mark::Error});
  }
  if (analysis.policy) {
    section.lines.push_back({"result",
                             "mode " + std::string(to_string(analysis.policy->mode)) + ", for " +
                                 duration_text(analysis.policy->max_age) + ", " +
                                 counted(analysis.policy->mx.size(), "pattern", "patterns"),
                             Mark::None});
  }
  return section;
}

void add_smtp(const MxHost& host, WallTime now, std::vector<Line>& lines) {
  if (host.smtp.cannot_tell()) {
    lines.push_back(unknown_line("SMTP", host.smtp));
    return;
  }
  if (!host.smtp.known()) {
    return;
  }
  const Smtp& smtp = host.smtp.value;
  if (!smtp.starttls) {
    lines.push_back({"SMTP", "no STARTTLS at " + smtp.address, Mark::Error});
  } else if (!smtp.tls_error.empty()) {
    lines.push_back(
        {"SMTP", "STARTTLS at " + smtp.address + " fails: " + shown(smtp.tls_error), Mark::Error});
  } else {
    lines.push_back({"SMTP", "STARTTLS at " + smtp.address + ", " + smtp.tls_version, Mark::Good});
  }
  if (smtp.certificate) {
    add_certificate(*smtp.certificate, now, lines);
  }
}

void add_mx_host(const Report& report, const MxHost& host, std::vector<Line>& lines) {
  const Analysis& analysis = report.analysis();
  std::string text = shown(host.host);
  Mark mark = Mark::None;
  if (analysis.mx_compared) {
    const bool uncovered = std::find(analysis.uncovered.begin(), analysis.uncovered.end(),
                                     host.host) != analysis.uncovered.end();
    text += uncovered ? ", not in the policy" : ", in the policy";
    mark = uncovered ? Mark::Error : Mark::Good;
  }
  lines.push_back({"MX " + std::to_string(host.preference), text, mark});
  if (!host.name) {
    return;
  }
  add_addresses(host.addresses, lines);
  add_smtp(host, report.facts().at, lines);
  if (host.tlsa.known()) {
    lines.push_back({"TLSA",
                     counted(host.tlsa.value.size(), "record", "records") +
                         (host.tlsa_authenticated ? ", validated" : ", not validated"),
                     Mark::None});
  } else if (host.tlsa.cannot_tell()) {
    lines.push_back(unknown_line("TLSA", host.tlsa));
  }
}

Section mail_section(const Report& report) {
  const Facts& facts = report.facts();
  Section section{"MX hosts", {}};
  if (facts.mail.cannot_tell()) {
    section.lines.push_back(unknown_line("MX", facts.mail));
    return section;
  }
  if (facts.mail.absent()) {
    section.lines.push_back({"MX", "none, and no address", Mark::None});
    return section;
  }
  const MailServers& mail = facts.mail.value;
  if (mail.null_mx) {
    section.lines.push_back({"MX", "null: the domain accepts no mail", Mark::None});
  }
  if (mail.implicit) {
    section.lines.push_back({"MX", "none: the domain's own address is used", Mark::None});
  }
  add_chain(mail.chain, section.lines);
  for (const MxHost& host : mail.hosts) {
    add_mx_host(report, host, section.lines);
  }
  for (const std::string& pattern : report.analysis().unused) {
    section.lines.push_back({"pattern", pattern + ", matches no MX host", Mark::Fault});
  }
  return section;
}

std::string dane_text(const Analysis& analysis) {
  switch (analysis.dane) {
    case Dane::None:
      return "no TLSA records";
    case Dane::Everywhere:
      return "validated TLSA records at all MX hosts";
    case Dane::Partly:
      return "validated TLSA records at some MX hosts";
    case Dane::Unsigned:
      return "TLSA records without DNSSEC";
    case Dane::CannotTell:
      break;
  }
  return "unknown: " + shown(analysis.dane_why);
}

Section dane_section(const Facts& facts, const Analysis& analysis) {
  Section section{"DANE and DNSSEC", {}};
  section.lines.push_back({"DANE", dane_text(analysis),
                           analysis.dane == Dane::CannotTell ? Mark::Unknown : Mark::None});
  if (facts.validating.cannot_tell()) {
    section.lines.push_back(unknown_line("resolver", facts.validating));
  } else {
    section.lines.push_back(
        {"resolver", facts.validating.value ? "validates DNSSEC" : "does not validate DNSSEC",
         Mark::None});
  }
  return section;
}

Section cache_section(const Facts& facts) {
  Section section{"Cache of the mtastsd on this host", {}};
  if (facts.cached.cannot_tell()) {
    section.lines.push_back(unknown_line("policy", facts.cached));
  } else if (facts.cached.absent()) {
    section.lines.push_back({"policy", "none for this domain", Mark::None});
  } else {
    const CachedPolicy& cached = facts.cached.value;
    section.lines.push_back(
        {"policy",
         "id " + shown(cached.id) + ", fetched at " + timestamp(cached.fetched_at) +
             (cached.expires_at > facts.at ? ", valid until " : ", expired at ") +
             timestamp(cached.expires_at),
         Mark::None});
  }
  return section;
}

}  // namespace

std::vector<Section> sections(const Report& report) {
  const Facts& facts = report.facts();
  const Analysis& analysis = report.analysis();
  std::vector<Section> all = {record_section(facts, analysis)};
  Section host{"Policy host " + facts.policy_host.name, {}};
  add_addresses(facts.policy_host.addresses, host.lines);
  add_fetch(facts.policy_host, facts.at, host.lines);
  all.push_back(std::move(host));
  if (analysis.lines && !analysis.lines->lines.empty()) {
    all.push_back(policy_section(analysis));
  }
  all.push_back(mail_section(report));
  Section reports{"TLS reports at _smtp._tls." + facts.domain, {}};
  add_records(facts.tlsrpt, reports.lines);
  if (analysis.tlsrpt) {
    reports.lines.push_back({"sent to", names(analysis.tlsrpt->destinations), Mark::Good});
  } else if (analysis.tlsrpt_error) {
    reports.lines.push_back({"fault", analysis.tlsrpt_error->detail, Mark::Error});
  }
  all.push_back(std::move(reports));
  all.push_back(dane_section(facts, analysis));
  if (facts.cache_asked) {
    all.push_back(cache_section(facts));
  }
  return all;
}

}  // namespace mtastsd::check
