#include "sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "shown.h"

namespace mtastsd::check {
namespace {

constexpr std::size_t kMaxLinesShown = 60;
constexpr std::size_t kMaxNamesListed = 6;
constexpr std::size_t kMaxRecordsShown = 10;

struct MarkKind {
  std::string_view word;
  term::Colour colour;
};
constexpr std::array<MarkKind, 6> kMarks = {{{"ok", term::Colour::Green},
                                             {"note", term::Colour::None},
                                             {"fault", term::Colour::Yellow},
                                             {"ERROR", term::Colour::Red},
                                             {"?", term::Colour::Yellow},
                                             {"", term::Colour::None}}};

template <typename List, typename ToText>
std::string listed(const List& list, ToText to_text) {
  const std::size_t count = std::min(list.size(), kMaxNamesListed);
  const std::string text = joined(std::span(list).first(count), ", ", to_text);
  return count == list.size() ? text : fmt::format("{}, and {} more", text, list.size() - count);
}

std::string names(const std::vector<std::string>& list) {
  return listed(list, shown);
}

// True if there is a value to show. Otherwise the line says so.
template <typename T>
bool add_known(Section& section, std::string label, const Fact<T>& fact,
               std::string_view when_absent = "") {
  if (fact.cannot_tell()) {
    section.add(std::move(label), "unknown: " + shown(fact.why), Mark::Unknown);
  } else if (fact.absent() && !when_absent.empty()) {
    section.add(std::move(label), std::string(when_absent));
  }
  return fact.known();
}

void add_chain(Section& section, const std::vector<std::string>& chain) {
  if (!chain.empty()) {
    section.add("alias of", names(chain));
  }
}

void add_records(Section& section, const Fact<TextRecords>& fact) {
  if (!add_known(section, "TXT", fact, "none")) {
    add_chain(section, fact.value.chain);
    return;
  }
  const auto& records = fact.value.records;
  const std::size_t count = std::min(records.size(), kMaxRecordsShown);
  for (const std::string& text : std::span(records).first(count)) {
    section.add("TXT", shown_in_quotes(text));
  }
  if (count < records.size()) {
    section.add("TXT", fmt::format("and {} more", records.size() - count));
  }
  add_chain(section, fact.value.chain);
  section.add("TTL", duration_text(fact.value.ttl));
}

Section record_section(const Facts& facts, const Analysis& analysis) {
  Section section{"Record at _mta-sts." + facts.domain};
  add_records(section, facts.record);
  if (analysis.record) {
    section.add(
        "id",
        analysis.record->id +
            (analysis.id_time ? ", a date: " + timestamp(*analysis.id_time) : ", not a date"),
        Mark::Good);
  } else if (analysis.record_error &&
             analysis.record_error->fault == mtasts::TxtFault::InvalidRecord) {
    const auto& error = analysis.record_error->error;
    section.add("fault", fmt::format("at byte {}: {}", error.offset, error.detail), Mark::Error);
  } else if (analysis.record_error &&
             analysis.record_error->fault == mtasts::TxtFault::MultipleRecords) {
    section.add("fault", "more than one MTA-STS record", Mark::Error);
  }
  return section;
}

void add_addresses(Section& section, const Fact<AddressRecords>& fact) {
  if (add_known(section, "addresses", fact, "none")) {
    const auto text = [](const IpAddress& address) { return address.str(); };
    std::string all = listed(fact.value.v6, text);
    all += (all.empty() || fact.value.v4.empty() ? "" : ", ") + listed(fact.value.v4, text);
    section.add("addresses", std::move(all));
  }
  add_chain(section, fact.value.chain);
}

std::string verdict_on(const https::Certificate& certificate) {
  std::vector<std::string_view> faults;
  for (const auto& [good, word] : {std::pair(certificate.chain_trusted, "not trusted"),
                                   std::pair(certificate.in_time, "not valid now"),
                                   std::pair(certificate.name_matches, "for another name")}) {
    if (!good) {
      faults.emplace_back(word);
    }
  }
  return faults.empty() ? "trusted" : joined(faults);
}

void add_certificate(Section& section, const https::Certificate& certificate, WallTime now) {
  const std::int64_t left = days_left(certificate.not_after, now);
  section.add(
      "certificate",
      fmt::format(
          "{}; by {}, until {}, {}", verdict_on(certificate), shown(certificate.issuer),
          day_text(certificate.not_after),
          left < 0 ? "over" : counted(static_cast<std::size_t>(left), "day", "days") + " left"),
      certificate.good() ? Mark::Good : Mark::Error);
  section.add("its names", certificate.names.empty() ? "none" : names(certificate.names),
              certificate.name_matches ? Mark::None : Mark::Error);
  if (!certificate.key.empty()) {
    section.add("its key", shown(certificate.key));
  }
  if (!certificate.chain.empty()) {
    section.add("sent with", names(certificate.chain));
  }
}

void add_fetch(Section& section, const Fetch& fetch, WallTime now) {
  const https::Observation& seen = fetch.seen;
  if (!seen.tls_version.empty()) {
    section.add("TLS", seen.tls_version + (seen.address.empty() ? "" : " at " + seen.address));
  }
  if (seen.certificate) {
    add_certificate(section, *seen.certificate, now);
  }
  if (seen.status != 0) {
    section.add("answer",
                fmt::format("status {}, {}{}{}, {} ms", seen.status,
                            seen.media_type.empty() ? "no media type" : shown(seen.media_type),
                            seen.location.empty() ? "" : ", to " + shown_in_quotes(seen.location),
                            fetch.error ? "" : ", " + counted(seen.body_size, "byte", "bytes"),
                            seen.took.count()),
                fetch.error ? Mark::Error : Mark::Good);
  }
  if (fetch.error) {
    section.add("fault", shown(fetch.error->detail), Mark::Error);
  }
}

Section host_section(const Facts& facts) {
  const PolicyHost& host = facts.policy_host;
  Section section{"Policy host " + host.name};
  add_addresses(section, host.addresses);
  if (!add_known(section, "answer", host.fetch)) {
    return section;
  }
  if (host.by_address.empty()) {
    add_fetch(section, host.fetch.value, facts.at);
  }
  for (const Fetch& fetch : host.by_address) {
    section.add("at", fetch.seen.address);
    add_fetch(section, fetch, facts.at);
  }
  return section;
}

Section policy_section(const Analysis& analysis) {
  Section section{"Policy, line by line"};
  const auto& lines = analysis.lines->lines;
  const std::size_t count = std::min(lines.size(), kMaxLinesShown);
  for (const auto& line : std::span(lines).first(count)) {
    section.add(std::to_string(line.number),
                printable(line.text, 120) + (line.comment.empty() ? "" : "  <- " + line.comment),
                static_cast<Mark>(line.verdict));
  }
  if (count < lines.size()) {
    section.add("", fmt::format("and {} more lines", lines.size() - count));
  }
  for (const auto& name : analysis.lines->missing) {
    section.add("", "no " + std::string(name), Mark::Error);
  }
  if (analysis.policy) {
    section.add("result", fmt::format("mode {}, for {}, {}", to_string(analysis.policy->mode),
                                      duration_text(analysis.policy->max_age),
                                      counted(analysis.policy->mx.size(), "pattern", "patterns")));
  }
  return section;
}

void add_smtp(Section& section, const Fact<Smtp>& fact, WallTime now) {
  if (!add_known(section, "SMTP", fact)) {
    return;
  }
  const Smtp& smtp = fact.value;
  if (!smtp.starttls) {
    section.add("SMTP", "no STARTTLS at " + smtp.address, Mark::Error);
  } else if (!smtp.tls_error.empty()) {
    section.add("SMTP",
                fmt::format("STARTTLS at {} fails: {}", smtp.address, shown(smtp.tls_error)),
                Mark::Error);
  } else {
    section.add("SMTP", fmt::format("STARTTLS at {}, {}", smtp.address, smtp.tls_version),
                Mark::Good);
  }
  if (smtp.certificate) {
    add_certificate(section, *smtp.certificate, now);
  }
}

// What of the host's TLSA records is of no use.
std::string unusable_text(const MxHost& host) {
  const std::size_t unusable = host.tlsa.value.size() - usable_records(host);
  if (unusable == 0) {
    return {};
  }
  return unusable == host.tlsa.value.size()
             ? ", cannot be used"
             : ", " + std::to_string(unusable) + " of them cannot be used";
}

void add_mx_host(Section& section, const Report& report, const MxHost& host) {
  const bool uncovered = is_uncovered(report.analysis(), host);
  std::string text = shown(host.host);
  Mark mark = Mark::None;
  if (report.analysis().mx_compared) {
    text += uncovered ? ", not in the policy" : ", in the policy";
    mark = uncovered ? Mark::Error : Mark::Good;
  }
  section.add("MX " + std::to_string(host.preference), std::move(text), mark);
  if (!host.name) {
    return;
  }
  add_addresses(section, host.addresses);
  if (report.facts().smtp_asked) {
    for (const Fact<Smtp>& smtp : host.smtp) {
      add_smtp(section, smtp, report.facts().at);
    }
  }
  if (add_known(section, "TLSA", host.tlsa)) {
    section.add("TLSA", counted(host.tlsa.value.size(), "record", "records") +
                            (host.tlsa_authenticated ? ", validated" : ", not validated") +
                            unusable_text(host));
  }
}

Section mail_section(const Report& report) {
  const Facts& facts = report.facts();
  Section section{"MX hosts"};
  if (!add_known(section, "MX", facts.mail, "none, and no address")) {
    return section;
  }
  const MailServers& mail = facts.mail.value;
  if (mail.null_mx) {
    section.add("MX", "null: the domain accepts no mail");
  }
  if (mail.implicit) {
    section.add("MX", "none: the domain's own address is used");
  }
  add_chain(section, mail.chain);
  for (const MxHost& host : mail.hosts) {
    add_mx_host(section, report, host);
  }
  if (!facts.smtp_asked && !mail.hosts.empty()) {
    section.add("SMTP", "not tried; add --smtp");
  }
  for (const std::string& pattern : report.analysis().unused) {
    section.add("pattern", pattern + ", matches no MX host", Mark::Fault);
  }
  return section;
}

Section reports_section(const Facts& facts, const Analysis& analysis) {
  Section section{"TLS reports at _smtp._tls." + facts.domain};
  add_records(section, facts.tlsrpt);
  if (analysis.tlsrpt) {
    section.add("sent to", names(analysis.tlsrpt->destinations), Mark::Good);
  } else if (analysis.tlsrpt_error) {
    section.add("fault", analysis.tlsrpt_error->detail, Mark::Error);
  }
  return section;
}

// RFC 7672 section 2.2 and RFC 8461 section 2: for a sender that does both, DANE comes first.
std::string seen_by_dane(const Analysis& analysis) {
  switch (analysis.dane) {
    case Dane::Everywhere:
      return "the certificates of all MX hosts must match their TLSA records";
    case Dane::Partly:
      return "only MX hosts with usable TLSA records get mail under an enforced policy";
    case Dane::Unusable:
      return "TLS is used, and by DANE alone no certificate is checked";
    case Dane::None:
    case Dane::Unsigned:
      return "DANE does not apply, so what senders that do MTA-STS see holds";
    case Dane::CannotTell:
      break;
  }
  return "unknown";
}

std::string seen_by_mta_sts(const Analysis& analysis) {
  if (!analysis.policy || analysis.policy->mode == mtasts::Mode::None) {
    return "no policy was found that demands TLS";
  }
  return analysis.policy->mode == mtasts::Mode::Enforce
             ? "MX hosts must be in the policy and have a trusted certificate for their name"
             : "the policy is for testing, so mail is sent in any case";
}

Section dane_section(const Facts& facts, const Analysis& analysis) {
  constexpr std::array<std::string_view, 6> kTexts = {
      "no TLSA records",
      "validated TLSA records at all MX hosts",
      "validated TLSA records at some MX hosts",
      "TLSA records without DNSSEC",
      "unknown: ",
      "validated TLSA records, and none that can be used"};
  Section section{"DANE and DNSSEC"};
  section.add("DANE", std::string(word_of(kTexts, analysis.dane)) + shown(analysis.dane_why),
              analysis.dane == Dane::CannotTell ? Mark::Unknown : Mark::None);
  if (analysis.dane != Dane::None) {
    section.add("by DANE", seen_by_dane(analysis));
    section.add("by MTA-STS", seen_by_mta_sts(analysis));
  }
  if (add_known(section, "resolver", facts.validating)) {
    section.add("resolver",
                facts.validating.value ? "validates DNSSEC" : "does not validate DNSSEC");
  }
  return section;
}

Section cache_section(const Facts& facts) {
  Section section{"Cache of the mtastsd on this host"};
  if (add_known(section, "policy", facts.cached, "none for this domain")) {
    const CachedPolicy& cached = facts.cached.value;
    section.add("policy", fmt::format("id {}, fetched at {}, {} {}", shown(cached.id),
                                      timestamp(cached.fetched_at),
                                      cached.expires_at > facts.at ? "valid until" : "expired at",
                                      timestamp(cached.expires_at)));
  }
  return section;
}

Section score_section(const Score& score) {
  Section section{"Score " + score_text(score)};
  section.label_width = 16;
  for (const PartScore& part : score.parts) {
    section.lines.push_back(
        {std::string(part.kind->code), part.why,
         fmt::format("{}/{}", part.points ? std::to_string(*part.points) : "?", part.kind->max)});
  }
  if (score.cap != nullptr) {
    section.lines.push_back(
        {"at most", fmt::format("because of a finding that is {}", to_string(score.cap->severity)),
         std::to_string(score.cap->most)});
  }
  return section;
}

}  // namespace

void Section::add(std::string label, std::string text, Mark mark) {
  const MarkKind& kind = kMarks.at(static_cast<std::size_t>(mark));
  lines.push_back({std::move(label), std::move(text), std::string(kind.word), kind.colour});
}

std::string score_text(const Score& score) {
  return fmt::format("{}{} of {}", score.complete ? "" : "at least ", score.total, kFullScore);
}

bool is_uncovered(const Analysis& analysis, const MxHost& host) {
  const auto& hosts = analysis.uncovered;
  return std::find(hosts.begin(), hosts.end(), host.host) != hosts.end();
}

std::vector<Section> sections(const Report& report) {
  const Facts& facts = report.facts();
  const Analysis& analysis = report.analysis();
  std::vector<Section> all = {record_section(facts, analysis), host_section(facts)};
  if (analysis.lines && !analysis.lines->lines.empty()) {
    all.push_back(policy_section(analysis));
  }
  all.push_back(mail_section(report));
  all.push_back(reports_section(facts, analysis));
  all.push_back(dane_section(facts, analysis));
  if (facts.cache_asked) {
    all.push_back(cache_section(facts));
  }
  all.push_back(score_section(report.score()));
  return all;
}

}  // namespace mtastsd::check
