#include "mtastsd/check/score.h"

#include <algorithm>
#include <array>
#include <optional>

#include "analysis.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/check/findings.h"
#include "plan.h"

namespace mtastsd::check {
namespace {

constexpr std::array<PartKind, static_cast<std::size_t>(Part::Count)> kParts = {{
    {Part::Record, "record", 10, "exactly one valid MTA-STS record"},
    {Part::PolicyHost, "policy_host", 15,
     "the policy can be fetched; 12 when the certificate expires soon"},
    {Part::Policy, "policy", 10, "the policy is valid; 5 when some lines have faults"},
    {Part::Mode, "mode", 30, "enforce; 15 for testing, 0 for none"},
    {Part::MaxAge, "max_age", 10,
     "two weeks or more; 7 from a week on, 3 from a day on. In testing: a day or more, 7 for less"},
    {Part::MailServers, "mail_servers", 15,
     "the policy covers each MX host, and with --smtp each passes its rules; 12 when a pattern is "
     "of no use"},
    {Part::Reports, "reports", 10, "a valid TLSRPT record with a destination that can be used"},
}};

constexpr int sum_of_parts() {
  int sum = 0;
  for (const PartKind& part : kParts) {
    sum += part.max;
  }
  return sum;
}
static_assert(report::is_complete(kParts) && sum_of_parts() == kFullScore);

// A score of 100 means that there is nothing to put right.
constexpr std::array<Cap, 3> kCaps = {
    {{Severity::High, 50}, {Severity::Medium, 80}, {Severity::Low, 95}}};

// What a part gives, and why; no points if that could not be determined.
struct Points {
  std::optional<int> points;
  std::string why;
};
const Points kUnknown = {std::nullopt, "unknown"};

Points of_record(const Facts& facts, const Analysis& analysis) {
  if (facts.record.cannot_tell()) {
    return kUnknown;
  }
  return analysis.record ? Points{10, "valid"} : Points{0, "no valid record"};
}

Points of_policy_host(const Facts& facts) {
  const auto& fetch = facts.policy_host.fetch;
  if (fetch.cannot_tell()) {
    return kUnknown;
  }
  if (!fetch.known() || fetch.value.error) {
    return {0, "no policy can be fetched"};
  }
  const auto& certificate = fetch.value.seen.certificate;
  const bool ends = certificate && expires_soon(*certificate, facts.at);
  return ends ? Points{12, "the certificate expires soon"} : Points{15, "answers"};
}

Points of_policy(const Facts& facts, const Analysis& analysis) {
  if (facts.policy_host.fetch.cannot_tell()) {
    return kUnknown;
  }
  if (!analysis.policy) {
    return {0, analysis.lines ? "not valid" : "no policy"};
  }
  const auto& lines = analysis.lines->lines;
  const bool faults = analysis.lines->byte_order_mark ||
                      std::any_of(lines.begin(), lines.end(), [](const mtasts::PolicyLine& line) {
                        return line.verdict == mtasts::LineVerdict::Fault;
                      });
  return faults ? Points{5, "valid, with faults"} : Points{10, "valid"};
}

// The policy that senders can find.
const mtasts::Policy* policy_in_use(const Analysis& analysis) {
  return analysis.record && analysis.policy ? &*analysis.policy : nullptr;
}

bool policy_unknown(const Facts& facts) {
  return facts.record.cannot_tell() || facts.policy_host.fetch.cannot_tell();
}

Points of_mode(const mtasts::Policy& policy) {
  const bool enforced = policy.mode == mtasts::Mode::Enforce;
  const bool testing = policy.mode == mtasts::Mode::Testing;
  return {enforced ? 30 : testing ? 15 : 0, std::string(to_string(policy.mode))};
}

Points of_max_age(const mtasts::Policy& policy) {
  const Seconds age = policy.max_age;
  if (policy.mode == mtasts::Mode::None) {
    return {0, "mode none"};
  }
  if (policy.mode == mtasts::Mode::Testing) {
    return {age >= kTinyMaxAge ? 10 : 7, duration_text(age) + " in testing"};
  }
  const int points = age >= kGoodMaxAge ? 10 : age >= kShortMaxAge ? 7 : age >= kTinyMaxAge ? 3 : 0;
  return {points, duration_text(age)};
}

Points of_mail_servers(const Facts& facts, const Analysis& analysis) {
  if (facts.mail.cannot_tell()) {
    return kUnknown;
  }
  const MailServers& mail = facts.mail.value;
  if (has_no_mail_server(facts)) {
    return {0, "no mail server"};
  }
  if (!analysis.mx_compared) {
    return mail.null_mx ? Points{15, "the domain takes no mail"} : Points{0, "no policy for them"};
  }
  if (const std::size_t number = analysis.uncovered.size(); number > 0) {
    return {0, counted(number, "MX host is", "MX hosts are") + " not in the policy"};
  }
  if (analysis.refusal.any()) {
    return {0, "an MX host does not pass"};
  }
  if (has_smtp_gap(facts)) {
    return kUnknown;
  }
  const std::string tried = facts.smtp_asked ? "" : "; SMTP not tried, add --smtp";
  return analysis.unused.empty() ? Points{15, "all in the policy" + tried}
                                 : Points{12, "a pattern is of no use" + tried};
}

Points of_reports(const Facts& facts, const Analysis& analysis) {
  if (facts.tlsrpt.cannot_tell()) {
    return kUnknown;
  }
  if (!analysis.tlsrpt) {
    return {0, "no valid TLSRPT record"};
  }
  const auto& uris = analysis.tlsrpt->destinations;
  return std::any_of(uris.begin(), uris.end(), usable_destination)
             ? Points{10, "asked for"}
             : Points{0, "no destination that can be used"};
}

std::string start_advice(const Facts& facts, const Analysis& analysis) {
  std::string text = "Start with mode testing. Serve at " + policy_url(facts);
  const auto plan = make_plan(facts, analysis);
  if (plan) {
    text += " the lines " + joined(lines_of(plan->policy), ", ",
                                   [](const std::string& line) { return "\"" + line + "\""; });
  } else {
    text += " a policy that names the MX hosts";
  }
  return text + "; then publish the TXT record _mta-sts." + facts.domain +
         " \"v=STSv1; id=" + (plan ? plan->id : new_id(facts, analysis)) +
         ";\". \"mtastsctl check --new " + facts.domain + "\" prints all of it.";
}

std::string reports_advice(const Facts& facts) {
  return "Publish the TXT record _smtp._tls." + facts.domain + " \"v=TLSRPTv1; rua=mailto:tlsrpt@" +
         facts.domain + "\" (with any address that you read), so that senders report failures.";
}

std::string testing_advice(const Facts& facts, const Analysis& analysis) {
  constexpr std::int64_t kTestingDays = 14;
  const std::string next =
      "Then set mode enforce and a max_age of 604800 (a week) or more, and change the id.";
  if (!analysis.id_time || *analysis.id_time > facts.at) {
    return "Stay in mode testing for two weeks and read the reports. " + next;
  }
  const std::string age = "By its id, the policy is of " + day_text(*analysis.id_time);
  if (days_left(facts.at, *analysis.id_time) < kTestingDays) {
    return age + ". Stay in mode testing until two weeks are over, and read the reports. " + next;
  }
  return age +
         ", two weeks ago or more. If the reports since then show no failures, set mode enforce "
         "and "
         "a max_age of 604800 (a week) or more, and change the id.";
}

bool has_faults(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.kind->severity >= Severity::Medium;
  });
}

std::vector<std::string> advice_on(const mtasts::Policy& policy, const Facts& facts,
                                   const Analysis& analysis) {
  if (policy.mode == mtasts::Mode::None) {
    return {
        "To return to MTA-STS, publish mode testing under a new id. To leave it for good, keep "
        "mode none until the max_age of the policy before it has passed, and then remove the "
        "record and "
        "the policy host."};
  }
  std::vector<std::string> steps;
  if (!analysis.tlsrpt && !facts.tlsrpt.cannot_tell()) {
    steps.push_back(reports_advice(facts));
  }
  if (policy.mode == mtasts::Mode::Testing) {
    steps.push_back(testing_advice(facts, analysis));
  } else if (policy.max_age < kGoodMaxAge) {
    steps.emplace_back(
        "When mode enforce has worked well for some weeks, raise max_age to 1209600 (two weeks) or "
        "more, and change the id.");
  }
  return steps;
}

}  // namespace

std::span<const PartKind> score_parts() {
  return kParts;
}

std::span<const Cap> score_caps() {
  return kCaps;
}

Score score(const Facts& facts, const Analysis& analysis, const std::vector<Finding>& findings) {
  const mtasts::Policy* policy = policy_in_use(analysis);
  const Points none = policy_unknown(facts) ? kUnknown : Points{0, "no policy in use"};
  const std::array<Points, kParts.size()> points = {
      of_record(facts, analysis),
      of_policy_host(facts),
      of_policy(facts, analysis),
      policy != nullptr ? of_mode(*policy) : none,
      policy != nullptr ? of_max_age(*policy) : none,
      policy != nullptr ? of_mail_servers(facts, analysis) : none,
      of_reports(facts, analysis)};
  Score result;
  for (std::size_t i = 0; i < points.size(); ++i) {
    result.parts.push_back({&kParts.at(i), points.at(i).points, points.at(i).why});
    result.total += points.at(i).points.value_or(0);
    result.complete = result.complete && points.at(i).points;
  }
  for (const Cap& cap : kCaps) {
    const bool applies = std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
      return finding.kind->severity == cap.severity;
    });
    if (applies && result.total > cap.most) {
      result.cap = &cap;
      result.total = cap.most;
      result.complete = true;
    }
  }
  return result;
}

std::vector<std::string> advice(const Facts& facts, const Analysis& analysis,
                                const std::vector<Finding>& findings) {
  if (!facts.domain_exists || (facts.mail.known() && facts.mail.value.null_mx)) {
    return {};
  }
  if (policy_unknown(facts)) {
    return {"Try again, because some facts could not be determined."};
  }
  if (has_faults(findings)) {
    return {
        "Correct what the findings say, and begin with the worst. If that changes the policy, "
        "change the id. \"mtastsctl check --fix " +
        facts.domain + "\" prints both."};
  }
  if (const mtasts::Policy* policy = policy_in_use(analysis)) {
    return advice_on(*policy, facts, analysis);
  }
  std::vector<std::string> steps = {start_advice(facts, analysis)};
  if (!analysis.tlsrpt) {
    steps.push_back(reports_advice(facts));
  }
  return steps;
}

}  // namespace mtastsd::check
