// The report as JSON. contrib/schema/check.json describes it; text from outside is there as it
// came, but for bytes that are no UTF-8.

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/dane/usable.h"
#include "rules.h"
#include "sections.h"

namespace mtastsd::check {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 2;
constexpr std::size_t kMaxLines = 1000;

constexpr std::array<std::string_view, 3> kOutcomes = {"known", "absent", "cannot_tell"};
constexpr std::array<std::string_view, 9> kErrors = {"connect",     "timeout",  "tls",
                                                     "certificate", "status",   "media_type",
                                                     "too_large",   "protocol", "proxy"};
constexpr std::array<std::string_view, 4> kLineVerdicts = {"good", "note", "fault", "error"};
constexpr std::array<std::string_view, 3> kLineEnds = {"none", "lf", "crlf"};
constexpr std::array<std::string_view, 6> kDane = {"none",     "everywhere",  "partly",
                                                   "unsigned", "cannot_tell", "unusable"};

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

template <typename T, typename ToJson>
Json fact_json(const Fact<T>& fact, ToJson to_json) {
  return {{"outcome", word_of(kOutcomes, fact.outcome)},
          {"why", fact.known() ? Json(nullptr) : text_or_null(fact.why)},
          {"value", fact.known() ? to_json(fact.value) : Json(nullptr)}};
}

template <typename List, typename ToJson>
Json list_json(const List& list, ToJson to_json) {
  Json array = Json::array();
  for (const auto& item : list) {
    array.push_back(to_json(item));
  }
  return array;
}

Json records_json(const TextRecords& text) {
  return {{"records", text.records},
          {"alias_chain", text.chain},
          {"ttl", text.ttl.count()},
          {"authenticated", text.authenticated}};
}

Json addresses_json(const AddressRecords& found) {
  const auto text = [](const IpAddress& address) { return address.str(); };
  return {{"v4", list_json(found.v4, text)},
          {"v6", list_json(found.v6, text)},
          {"alias_chain", found.chain}};
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
          {"key", text_or_null(certificate->key)},
          {"chain", certificate->chain},
          {"problem", text_or_null(certificate->problem)}};
}

Json fetch_json(const Fetch& fetch, WallTime now) {
  const https::Observation& seen = fetch.seen;
  Json error = nullptr;
  if (fetch.error) {
    error = {{"kind", word_of(kErrors, fetch.error->kind)},
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
  const auto json = [now](const Fetch& fetch) { return fetch_json(fetch, now); };
  return {{"name", host.name},
          {"addresses", fact_json(host.addresses, addresses_json)},
          {"fetch", fact_json(host.fetch, json)},
          {"by_address", list_json(host.by_address, json)}};
}

// Null when there is none.
Json policy_json(const Analysis& analysis) {
  if (!analysis.lines) {
    return nullptr;
  }
  const auto& lines = analysis.lines->lines;
  const auto line_json = [](const mtasts::PolicyLine& line) -> Json {
    return {{"number", line.number},
            {"text", std::string(line.text)},
            {"end", word_of(kLineEnds, line.end)},
            {"verdict", word_of(kLineVerdicts, line.verdict)},
            {"comment", text_or_null(line.comment)}};
  };
  const mtasts::Policy* policy = analysis.policy ? &*analysis.policy : nullptr;
  return {
      {"valid", policy != nullptr},
      {"mode", policy ? Json(to_string(policy->mode)) : Json(nullptr)},
      {"max_age", policy ? Json(policy->max_age.count()) : Json(nullptr)},
      {"mx",
       policy ? list_json(policy->mx, [](const auto& mx) { return mx.str(); }) : Json::array()},
      {"byte_order_mark", analysis.lines->byte_order_mark},
      {"missing", analysis.lines->missing},
      {"lines", list_json(std::span(lines).first(std::min(lines.size(), kMaxLines)), line_json)}};
}

Json smtp_json(const Smtp& smtp, WallTime now) {
  return {{"address", smtp.address},
          {"starttls", smtp.starttls},
          {"tls_version", text_or_null(smtp.tls_version)},
          {"tls_error", text_or_null(smtp.tls_error)},
          {"certificate", certificate_json(smtp.certificate, now)}};
}

Json tlsa_json(const dns::Tlsa& tlsa) {
  return {{"usage", tlsa.usage},
          {"selector", tlsa.selector},
          {"matching", tlsa.matching},
          // RFC 6698 section 2.1: as in zone files.
          {"data", hex(tlsa.data)},
          {"usable", dane::is_usable(tlsa)}};
}

Json mx_json(const MxHost& host, const Report& report) {
  const Analysis& analysis = report.analysis();
  const WallTime now = report.facts().at;
  return {
      {"preference", host.preference},
      {"host", host.host},
      {"is_host_name", host.name.has_value()},
      {"covered", analysis.mx_compared ? Json(!is_uncovered(analysis, host)) : Json(nullptr)},
      {"addresses", fact_json(host.addresses, addresses_json)},
      {"tlsa", fact_json(host.tlsa, [](const auto& list) { return list_json(list, tlsa_json); })},
      {"tlsa_authenticated", host.tlsa_authenticated},
      {"smtp", report.facts().smtp_asked ? list_json(host.smtp,
                                                     [now](const Fact<Smtp>& fact) {
                                                       return fact_json(
                                                           fact, [now](const Smtp& smtp) {
                                                             return smtp_json(smtp, now);
                                                           });
                                                     })
                                         : Json(nullptr)}};
}

Json mail_json(const MailServers& mail, const Report& report) {
  return {
      {"hosts", list_json(mail.hosts, [&](const MxHost& host) { return mx_json(host, report); })},
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
      {"dane", word_of(kDane, analysis.dane)},
      {"resolver_validates", fact_json(facts.validating, [](bool value) { return Json(value); })},
      {"cached", facts.cache_asked ? fact_json(facts.cached, cached_json) : Json(nullptr)}};
}

Json finding_json(const Finding& finding, const std::string& domain) {
  const FindingKind& kind = *finding.kind;
  const std::string meaning = named(kind.meaning, domain);
  return report::json_of(
      {kind.code, kind.severity, finding.detail, meaning, finding.fix, finding.lines});
}

Json part_json(const PartScore& part) {
  return {{"name", part.kind->code},
          {"points", part.points ? Json(*part.points) : Json(nullptr)},
          {"max", part.kind->max},
          {"why", part.why}};
}

Json report_json(const Report* report) {
  const Score& score = report->score();
  return {{"domain", report->facts().domain},
          {"typed", text_or_null(report->facts().typed)},
          {"checked_at", timestamp(report->facts().at)},
          {"verdict", to_string(report->verdict())},
          {"summary", report->verdict_line()},
          {"complete", !report->has_gaps()},
          {"score",
           {{"total", score.total},
            {"complete", score.complete},
            {"at_most", score.cap != nullptr ? Json(score.cap->most) : Json(nullptr)},
            {"parts", list_json(score.parts, part_json)}}},
          {"findings", list_json(report->findings(),
                                 [&](const Finding& finding) {
                                   return finding_json(finding, report->facts().domain);
                                 })},
          {"advice", report->advice()},
          {"facts", facts_json(*report)}};
}

}  // namespace

std::string to_json_line(const Report& report) {
  return report_json(&report).dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string to_json(const std::vector<const Report*>& reports) {
  return report::to_text({{"format", kFormat}, {"reports", list_json(reports, report_json)}});
}

}  // namespace mtastsd::check
