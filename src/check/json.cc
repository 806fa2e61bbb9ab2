// The report as JSON. contrib/schema/check.json describes it; text from outside is there as it
// came, but for bytes that are no UTF-8.

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "analysis.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/check/report.h"

namespace mtastsd::check {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr std::size_t kMaxLines = 1000;

std::string_view word_for(Outcome outcome) {
  switch (outcome) {
    case Outcome::Known:
      return "known";
    case Outcome::Absent:
      return "absent";
    case Outcome::CannotTell:
      break;
  }
  return "cannot_tell";
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

template <typename T, typename ToJson>
Json fact_json(const Fact<T>& fact, ToJson to_json) {
  return {{"outcome", word_for(fact.outcome)},
          {"why", fact.known() ? Json(nullptr) : text_or_null(fact.why)},
          {"value", fact.known() ? to_json(fact.value) : Json(nullptr)}};
}

Json records_json(const TextRecords& text) {
  return {{"records", text.records},
          {"alias_chain", text.chain},
          {"ttl", text.ttl.count()},
          {"authenticated", text.authenticated}};
}

Json addresses_json(const AddressRecords& found) {
  Json v4 = Json::array();
  Json v6 = Json::array();
  for (const IpAddress& address : found.v4) {
    v4.push_back(address.str());
  }
  for (const IpAddress& address : found.v6) {
    v6.push_back(address.str());
  }
  return {{"v4", v4}, {"v6", v6}, {"alias_chain", found.chain}};
}

Json certificate_json(const std::optional<https::Certificate>& certificate, WallTime now) {
  if (!certificate) {
    return nullptr;
  }
  return {{"subject", certificate->subject},
          {"issuer", certificate->issuer},
          {"names", certificate->names},
          {"not_before", timestamp(certificate->not_before)},
          {"not_after", timestamp(certificate->not_after)},
          {"days_left", days_left(certificate->not_after, now)},
          {"chain_trusted", certificate->chain_trusted},
          {"in_time", certificate->in_time},
          {"name_matches", certificate->name_matches},
          {"problem", text_or_null(certificate->problem)}};
}

std::string_view word_for(https::ErrorKind kind) {
  switch (kind) {
    case https::ErrorKind::Connect:
      return "connect";
    case https::ErrorKind::Timeout:
      return "timeout";
    case https::ErrorKind::Tls:
      return "tls";
    case https::ErrorKind::Certificate:
      return "certificate";
    case https::ErrorKind::Status:
      return "status";
    case https::ErrorKind::MediaType:
      return "media_type";
    case https::ErrorKind::TooLarge:
      return "too_large";
    case https::ErrorKind::Protocol:
      break;
  }
  return "protocol";
}

Json fetch_json(const Fetch& fetch, WallTime now) {
  const https::Observation& seen = fetch.seen;
  Json error = nullptr;
  if (fetch.error) {
    error = {{"kind", word_for(fetch.error->kind)},
             {"result_type", https::result_type(fetch.error->kind)},
             {"detail", fetch.error->detail}};
  }
  return {{"address", text_or_null(seen.address)},
          {"tls_version", text_or_null(seen.tls_version)},
          {"certificate", certificate_json(seen.certificate, now)},
          {"status", seen.status == 0 ? Json(nullptr) : Json(seen.status)},
          {"media_type", text_or_null(seen.media_type)},
          {"redirect", text_or_null(seen.location)},
          {"size", seen.body_size},
          {"took_ms", seen.took.count()},
          {"error", error}};
}

Json host_json(const PolicyHost& host, WallTime now) {
  return {{"name", host.name},
          {"addresses", fact_json(host.addresses, addresses_json)},
          {"fetch",
           fact_json(host.fetch, [now](const Fetch& fetch) { return fetch_json(fetch, now); })}};
}

std::string_view word_for(mtasts::LineVerdict verdict) {
  switch (verdict) {
    case mtasts::LineVerdict::Good:
      return "good";
    case mtasts::LineVerdict::Note:
      return "note";
    case mtasts::LineVerdict::Fault:
      return "fault";
    case mtasts::LineVerdict::Error:
      break;
  }
  return "error";
}

std::string_view word_for(mtasts::LineEnd end) {
  switch (end) {
    case mtasts::LineEnd::Lf:
      return "lf";
    case mtasts::LineEnd::CrLf:
      return "crlf";
    case mtasts::LineEnd::None:
      break;
  }
  return "none";
}

// Null when there is none.
Json policy_json(const Analysis& analysis) {
  if (!analysis.lines) {
    return nullptr;
  }
  Json lines = Json::array();
  for (const auto& line : analysis.lines->lines) {
    if (lines.size() == kMaxLines) {
      break;
    }
    lines.push_back({{"number", line.number},
                     {"text", std::string(line.text)},
                     {"end", word_for(line.end)},
                     {"verdict", word_for(line.verdict)},
                     {"comment", text_or_null(line.comment)}});
  }
  Json patterns = Json::array();
  if (analysis.policy) {
    for (const auto& pattern : analysis.policy->mx) {
      patterns.push_back(pattern.str());
    }
  }
  return {{"valid", analysis.policy.has_value()},
          {"mode", analysis.policy ? Json(to_string(analysis.policy->mode)) : Json(nullptr)},
          {"max_age", analysis.policy ? Json(analysis.policy->max_age.count()) : Json(nullptr)},
          {"mx", patterns},
          {"byte_order_mark", analysis.lines->byte_order_mark},
          {"missing", analysis.lines->missing},
          {"lines", lines}};
}

Json smtp_json(const Smtp& smtp, WallTime now) {
  return {{"address", smtp.address},
          {"starttls", smtp.starttls},
          {"tls_version", text_or_null(smtp.tls_version)},
          {"tls_error", text_or_null(smtp.tls_error)},
          {"certificate", certificate_json(smtp.certificate, now)}};
}

Json tlsa_json(const std::vector<dns::Tlsa>& records) {
  Json list = Json::array();
  for (const dns::Tlsa& tlsa : records) {
    list.push_back({{"usage", tlsa.usage},
                    {"selector", tlsa.selector},
                    {"matching", tlsa.matching},
                    // RFC 6698 section 2.1: as in zone files.
                    {"data", hex(tlsa.data)}});
  }
  return list;
}

Json mx_json(const MxHost& host, const Report& report) {
  const Analysis& analysis = report.analysis();
  const auto& uncovered = analysis.uncovered;
  const bool covered = std::find(uncovered.begin(), uncovered.end(), host.host) == uncovered.end();
  const WallTime now = report.facts().at;
  return {
      {"preference", host.preference},
      {"host", host.host},
      {"is_host_name", host.name.has_value()},
      {"covered", analysis.mx_compared ? Json(covered) : Json(nullptr)},
      {"addresses", fact_json(host.addresses, addresses_json)},
      {"tlsa", fact_json(host.tlsa, tlsa_json)},
      {"tlsa_authenticated", host.tlsa_authenticated},
      {"smtp", report.facts().smtp_asked
                   ? fact_json(host.smtp, [now](const Smtp& smtp) { return smtp_json(smtp, now); })
                   : Json(nullptr)}};
}

Json mail_json(const MailServers& mail, const Report& report) {
  Json hosts = Json::array();
  for (const MxHost& host : mail.hosts) {
    hosts.push_back(mx_json(host, report));
  }
  return {{"hosts", hosts},
          {"left_out", mail.left_out},
          {"null_mx", mail.null_mx},
          {"implicit", mail.implicit},
          {"alias_chain", mail.chain},
          {"ttl", mail.ttl.count()},
          {"authenticated", mail.authenticated},
          {"unused_patterns", report.analysis().unused}};
}

Json cached_json(const CachedPolicy& cached) {
  return {{"id", cached.id},
          {"text", cached.text},
          {"fetched_at", timestamp(cached.fetched_at)},
          {"expires_at", timestamp(cached.expires_at)}};
}

std::string_view word_for(Dane dane) {
  switch (dane) {
    case Dane::None:
      return "none";
    case Dane::Everywhere:
      return "everywhere";
    case Dane::Partly:
      return "partly";
    case Dane::Unsigned:
      return "unsigned";
    case Dane::CannotTell:
      break;
  }
  return "cannot_tell";
}

Json facts_json(const Report& report) {
  const Facts& facts = report.facts();
  const Analysis& analysis = report.analysis();
  return {
      {"domain_exists", facts.domain_exists},
      {"record", fact_json(facts.record, records_json)},
      {"id", analysis.record ? Json(analysis.record->id) : Json(nullptr)},
      {"id_time", analysis.id_time ? Json(timestamp(*analysis.id_time)) : Json(nullptr)},
      {"policy_host", host_json(facts.policy_host, facts.at)},
      {"policy", policy_json(analysis)},
      {"mail",
       fact_json(facts.mail, [&](const MailServers& mail) { return mail_json(mail, report); })},
      {"tlsrpt", fact_json(facts.tlsrpt, records_json)},
      {"tlsrpt_destinations",
       analysis.tlsrpt ? Json(analysis.tlsrpt->destinations) : Json::array()},
      {"dane", word_for(analysis.dane)},
      {"resolver_validates", fact_json(facts.validating, [](bool value) { return Json(value); })},
      {"cached", facts.cache_asked ? fact_json(facts.cached, cached_json) : Json(nullptr)}};
}

Json report_json(const Report& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings()) {
    findings.push_back(report::json_of({finding.kind->code,
                                        finding.kind->severity,
                                        finding.detail,
                                        finding.kind->meaning,
                                        finding.kind->fix,
                                        {}}));
  }
  Json parts = Json::array();
  for (const PartScore& part : report.score().parts) {
    parts.push_back({{"name", part.kind->code},
                     {"points", part.known ? Json(part.points) : Json(nullptr)},
                     {"max", part.kind->max},
                     {"why", part.why}});
  }
  return {
      {"domain", report.facts().domain},
      {"checked_at", timestamp(report.facts().at)},
      {"verdict", to_string(report.verdict())},
      {"summary", report.verdict_line()},
      {"complete", !report.has_gaps()},
      {"score",
       {{"total", report.score().total}, {"complete", report.score().complete}, {"parts", parts}}},
      {"findings", findings},
      {"advice", report.advice()},
      {"facts", facts_json(report)}};
}

}  // namespace

std::string to_json(const std::vector<const Report*>& reports) {
  Json list = Json::array();
  for (const Report* report : reports) {
    list.push_back(report_json(*report));
  }
  const Json document = {{"format", kFormat}, {"reports", list}};
  return report::to_text(document);
}

}  // namespace mtastsd::check
