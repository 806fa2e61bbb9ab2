#include "mtastsd/check/score.h"

#include <algorithm>

#include "analysis.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/check/findings.h"

namespace mtastsd::check {
namespace {

constexpr int kPointsTesting = 15;
constexpr int kPointsHostExpiring = 12;
constexpr int kPointsFaultyPolicy = 5;
constexpr int kPointsWeek = 7;
constexpr int kPointsDay = 3;
constexpr int kPointsUnusedPattern = 12;

const PartKind& kind(Part part) {
  return score_parts()[static_cast<std::size_t>(part)];
}

PartScore full(Part part, std::string why) {
  return {&kind(part), kind(part).max, true, std::move(why)};
}
PartScore some(Part part, int points, std::string why) {
  return {&kind(part), points, true, std::move(why)};
}
PartScore unknown(Part part) {
  return {&kind(part), 0, false, "unknown"};
}

PartScore score_record(const Facts& facts, const Analysis& analysis) {
  if (facts.record.cannot_tell()) {
    return unknown(Part::Record);
  }
  return analysis.record ? full(Part::Record, "valid") : some(Part::Record, 0, "no valid record");
}

PartScore score_host(const Facts& facts) {
  const auto& fetch = facts.policy_host.fetch;
  if (fetch.cannot_tell()) {
    return unknown(Part::PolicyHost);
  }
  if (!fetch.known() || fetch.value.error) {
    return some(Part::PolicyHost, 0, "no policy can be fetched");
  }
  const auto& certificate = fetch.value.seen.certificate;
  if (certificate && days_left(certificate->not_after, facts.at) < kFewDaysLeft) {
    return some(Part::PolicyHost, kPointsHostExpiring, "the certificate expires soon");
  }
  return full(Part::PolicyHost, "answers");
}

PartScore score_policy(const Facts& facts, const Analysis& analysis) {
  if (facts.policy_host.fetch.cannot_tell()) {
    return unknown(Part::Policy);
  }
  if (!analysis.policy) {
    return some(Part::Policy, 0, analysis.lines ? "not valid" : "no policy");
  }
  const auto& lines = analysis.lines->lines;
  const bool faults = analysis.lines->byte_order_mark ||
                      std::any_of(lines.begin(), lines.end(), [](const mtasts::PolicyLine& line) {
                        return line.verdict == mtasts::LineVerdict::Fault;
                      });
  return faults ? some(Part::Policy, kPointsFaultyPolicy, "valid, with faults")
                : full(Part::Policy, "valid");
}

// The policy that senders can find.
const mtasts::Policy* policy_in_use(const Analysis& analysis) {
  return analysis.record && analysis.policy ? &*analysis.policy : nullptr;
}

bool policy_unknown(const Facts& facts) {
  return facts.record.cannot_tell() || facts.policy_host.fetch.cannot_tell();
}

PartScore score_mode(const mtasts::Policy& policy) {
  switch (policy.mode) {
    case mtasts::Mode::Enforce:
      return full(Part::Mode, "enforce");
    case mtasts::Mode::Testing:
      return some(Part::Mode, kPointsTesting, "testing");
    case mtasts::Mode::None:
      break;
  }
  return some(Part::Mode, 0, "none");
}

PartScore score_max_age(const mtasts::Policy& policy) {
  const std::string why = duration_text(policy.max_age);
  if (policy.mode == mtasts::Mode::None) {
    return some(Part::MaxAge, 0, "mode none");
  }
  if (policy.max_age >= kGoodMaxAge) {
    return full(Part::MaxAge, why);
  }
  if (policy.max_age >= kShortMaxAge) {
    return some(Part::MaxAge, kPointsWeek, why);
  }
  return some(Part::MaxAge, policy.max_age >= kTinyMaxAge ? kPointsDay : 0, why);
}

bool passes(const Smtp& smtp) {
  return smtp.starttls && smtp.tls_error.empty() && smtp.certificate && smtp.certificate->good();
}

PartScore score_mail(const Facts& facts, const Analysis& analysis) {
  if (facts.mail.cannot_tell()) {
    return unknown(Part::MailServers);
  }
  if (!analysis.mx_compared) {
    return facts.mail.known() && facts.mail.value.null_mx
               ? full(Part::MailServers, "the domain takes no mail")
               : some(Part::MailServers, 0, "no policy for them");
  }
  if (!analysis.uncovered.empty()) {
    return some(
        Part::MailServers, 0,
        counted(analysis.uncovered.size(), "MX host is", "MX hosts are") + " not in the policy");
  }
  const auto& hosts = facts.mail.value.hosts;
  if (facts.smtp_asked) {
    if (std::any_of(hosts.begin(), hosts.end(), [](const MxHost& host) {
          return host.smtp.known() && !passes(host.smtp.value);
        })) {
      return some(Part::MailServers, 0, "an MX host does not pass");
    }
    if (std::any_of(hosts.begin(), hosts.end(),
                    [](const MxHost& host) { return host.smtp.cannot_tell(); })) {
      return unknown(Part::MailServers);
    }
  }
  return analysis.unused.empty()
             ? full(Part::MailServers, "all in the policy")
             : some(Part::MailServers, kPointsUnusedPattern, "a pattern is of no use");
}

PartScore score_reports(const Facts& facts, const Analysis& analysis) {
  if (facts.tlsrpt.cannot_tell()) {
    return unknown(Part::Reports);
  }
  if (!analysis.tlsrpt) {
    return some(Part::Reports, 0, "no valid TLSRPT record");
  }
  const auto& uris = analysis.tlsrpt->destinations;
  return std::any_of(uris.begin(), uris.end(), usable_destination)
             ? full(Part::Reports, "asked for")
             : some(Part::Reports, 0, "no destination that can be used");
}

std::string start_advice(const Facts& facts) {
  std::string text = "Start with mode testing. Serve at https://mta-sts." + facts.domain +
                     "/.well-known/mta-sts.txt the lines \"version: STSv1\", \"mode: testing\", "
                     "\"max_age: 86400\"";
  for (const MxHost& host : facts.mail.value.hosts) {
    if (host.name) {
      text += ", \"mx: " + host.name->str() + "\"";
    }
  }
  return text + "; then publish the TXT record _mta-sts." + facts.domain +
         " \"v=STSv1; id=" + day_text(facts.at).erase(7, 1).erase(4, 1) + ";\".";
}

std::string reports_advice(const Facts& facts) {
  return "Publish the TXT record _smtp._tls." + facts.domain + " \"v=TLSRPTv1; rua=mailto:tlsrpt@" +
         facts.domain + "\" (any address that you read), so that senders report failures.";
}

std::string testing_advice(const Facts& facts, const Analysis& analysis) {
  constexpr std::int64_t kTestingDays = 14;
  const std::string next = "Then set mode enforce, and change the id.";
  if (!analysis.id_time || *analysis.id_time > facts.at) {
    return "Stay in testing for two weeks, and read the reports. " + next;
  }
  const std::int64_t days = days_left(facts.at, *analysis.id_time);
  if (days < kTestingDays) {
    return "By its id the policy is of " + day_text(*analysis.id_time) +
           ": stay in testing until two weeks are over, and read the reports. " + next;
  }
  return "By its id the policy is of " + day_text(*analysis.id_time) +
         ", more than two weeks ago. If the reports of these show no failures: set mode enforce, "
         "and change the id.";
}

bool has_faults(const Facts& facts, const Analysis& analysis) {
  const auto findings = find(facts, analysis);
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.kind->severity >= Severity::Medium;
  });
}

std::vector<std::string> advice_on(const mtasts::Policy& policy, const Facts& facts,
                                   const Analysis& analysis) {
  std::vector<std::string> steps;
  const bool reports_missing = !analysis.tlsrpt && !facts.tlsrpt.cannot_tell();
  if (reports_missing) {
    steps.push_back(reports_advice(facts));
  }
  switch (policy.mode) {
    case mtasts::Mode::None:
      return {
          "To come back, publish mode testing under a new id. To leave for good, keep mode "
          "none until max_age of the policy before it is over, then remove the record and the "
          "policy host."};
    case mtasts::Mode::Testing:
      steps.push_back(testing_advice(facts, analysis));
      break;
    case mtasts::Mode::Enforce:
      if (policy.max_age < kGoodMaxAge) {
        steps.push_back(
            "When enforce has run well for some weeks, raise max_age to 1209600 (two "
            "weeks) or more, and change the id.");
      }
      break;
  }
  return steps;
}

}  // namespace

Score score(const Facts& facts, const Analysis& analysis) {
  Score result;
  result.parts = {score_record(facts, analysis), score_host(facts), score_policy(facts, analysis)};
  if (const mtasts::Policy* policy = policy_in_use(analysis)) {
    result.parts.push_back(score_mode(*policy));
    result.parts.push_back(score_max_age(*policy));
    result.parts.push_back(score_mail(facts, analysis));
  } else {
    for (const Part part : {Part::Mode, Part::MaxAge, Part::MailServers}) {
      result.parts.push_back(policy_unknown(facts) ? unknown(part)
                                                   : some(part, 0, "no policy in use"));
    }
  }
  result.parts.push_back(score_reports(facts, analysis));
  for (const PartScore& part : result.parts) {
    result.total += part.points;
    result.complete = result.complete && part.known;
  }
  return result;
}

std::vector<std::string> advice(const Facts& facts, const Analysis& analysis) {
  if (!facts.domain_exists || (facts.mail.known() && facts.mail.value.null_mx)) {
    return {};
  }
  if (policy_unknown(facts)) {
    return {"Try again, because some facts could not be determined."};
  }
  if (has_faults(facts, analysis)) {
    return {
        "Put right what the findings say, the worst first. If that changes the policy, change the "
        "id."};
  }
  if (const mtasts::Policy* policy = policy_in_use(analysis)) {
    return advice_on(*policy, facts, analysis);
  }
  std::vector<std::string> steps = {start_advice(facts)};
  if (!analysis.tlsrpt) {
    steps.push_back(reports_advice(facts));
  }
  return steps;
}

}  // namespace mtastsd::check
