// What to do about a finding, with the domain's own names in it. Lines to be pasted stand at the
// worst kind of finding that needs them, with the last of its findings.

#include <algorithm>
#include <array>
#include <set>

#include "plan.h"
#include "rules.h"

namespace mtastsd::check {
namespace {

// What lines put right.
enum class Remedy { None, Record, Policy, WebServer, Reports };

Remedy remedy_for(Code code) {
  switch (code) {
    case Code::RecordMissing:
    case Code::RecordMultiple:
    case Code::RecordInvalid:
    case Code::RecordMisplaced:
    case Code::RecordMisspelt:
    case Code::PolicyWithoutRecord:
    case Code::RecordTtlLong:
    case Code::IdNotBumped:
      return Remedy::Record;
    case Code::PolicyIsHtml:
    case Code::LineBreaksMissing:
    case Code::PolicyInvalid:
    case Code::MaxAgeTiny:
    case Code::MaxAgeShort:
    case Code::MaxAgeOverLimit:
    case Code::FieldMisspelt:
    case Code::FieldDuplicate:
    case Code::PatternUnmatchable:
    case Code::PatternFinalDot:
    case Code::MxMismatch:
    case Code::MxUnused:
      return Remedy::Policy;
    case Code::Unreachable:
    case Code::HostNoAddress:
    case Code::HttpStatus:
    case Code::Redirect:
    case Code::MediaType:
    case Code::PolicyOnApex:
      return Remedy::WebServer;
    case Code::TlsRptMissing:
    case Code::TlsRptMissingInTesting:
    case Code::TlsRptMultiple:
    case Code::TlsRptInvalid:
    case Code::TlsRptMisspelt:
    case Code::TlsRptDestination:
      return Remedy::Reports;
    default:  // the fix is a sentence
      return Remedy::None;
  }
}

// What only who runs the policy host, or serves the policy, can change.
bool is_about_policy_host(Code code) {
  return (code >= Code::Unreachable && code <= Code::PolicyInvalid) ||
         (code >= Code::MaxAgeTiny && code <= Code::BlankLines) || code == Code::MxMismatch ||
         code == Code::MxUnused;
}

bool is_about_record(Code code) {
  return code == Code::RecordMultiple || code == Code::RecordInvalid ||
         code == Code::RecordTtlLong || code == Code::IdNotBumped;
}

bool has(const Findings& findings, std::initializer_list<Code> codes) {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
    return std::find(codes.begin(), codes.end(), finding.kind->id) != codes.end();
  });
}

// A finding that another one says more about has no fix of its own.
bool is_told_elsewhere(Code code, const Findings& findings) {
  if (code == Code::Unreachable) {
    return has(findings, {Code::HostNoAddress, Code::HostLocalAddress, Code::HostTlsFailed,
                          Code::HostCertUntrusted, Code::HostCertExpired, Code::HostCertName,
                          Code::HttpStatus, Code::Redirect, Code::MediaType, Code::TooLarge});
  }
  if (code == Code::RecordMissing) {
    return has(findings, {Code::RecordMisplaced, Code::RecordMisspelt, Code::RecordDangling,
                          Code::PolicyWithoutRecord, Code::DomainMissing});
  }
  if (code == Code::HostAddressFails) {
    return has(findings, {Code::HostTlsFailed, Code::HostCertUntrusted, Code::HostCertExpired,
                          Code::HostCertName, Code::HttpStatus, Code::Redirect, Code::MediaType});
  }
  return false;
}

std::string sentence_for(const Finding& finding, const Facts& facts) {
  const Code code = finding.kind->id;
  if (code == Code::RecordMissing && facts.mail.known() && facts.mail.value.null_mx) {
    return "None is needed as long as the domain accepts no mail.";
  }
  if (code == Code::Unreachable && facts.policy_host.fetch.known()) {
    return facts.policy_host.fetch.value.error->kind == https::ErrorKind::Timeout
               ? "Find out why the web server of mta-sts." + facts.domain +
                     " does not answer in time."
               : "Let a web server answer on port 443 of each address that DNS has for mta-sts." +
                     facts.domain + ".";
  }
  std::string fix = named(finding.kind->fix, facts.domain);
  const auto policy_provider = provider_of_policy(facts);
  const auto record_provider = provider_of_record(facts);
  if (policy_provider && is_about_policy_host(code) && !fix.empty()) {
    return "mta-sts." + facts.domain + " is an alias of " + *policy_provider +
           ", so only whoever runs that host can do this: " + fix;
  }
  if (record_provider && is_about_record(code)) {
    return "_mta-sts." + facts.domain + " is an alias of " + *record_provider +
           ", so only whoever publishes that can do this: " + fix;
  }
  return fix;
}

class Lines {
 public:
  Lines(const Facts& facts, const Analysis& analysis)
      : facts_(facts), analysis_(analysis), plan_(make_plan(facts, analysis)) {}

  // Nothing if they were given before, or are not ours to give.
  std::vector<report::FixLine> take(Remedy remedy) {
    lines_.clear();
    switch (remedy) {
      case Remedy::None:
        break;
      case Remedy::Record:
        add_record();
        break;
      case Remedy::Policy:
        add_policy();
        break;
      case Remedy::WebServer:
        add_web_server();
        break;
      case Remedy::Reports:
        if (given_.insert(remedy).second) {
          add("the zone of " + facts_.domain, {reports_line(facts_, analysis_)});
        }
        break;
    }
    return std::move(lines_);
  }

 private:
  void add(const std::string& file, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      lines_.push_back({file, line});
    }
  }

  void add_record() {
    if (provider_of_record(facts_)) {
      return;
    }
    if (!analysis_.policy && facts_.policy_host.fetch.absent()) {
      add_policy();  // which the record comes after
    }
    if (given_.insert(Remedy::Record).second) {
      add("the zone of " + facts_.domain,
          {record_line(facts_, plan_ ? plan_->id : new_id(facts_, analysis_))});
    }
  }

  void add_policy() {
    if (!plan_ || provider_of_policy(facts_) || !given_.insert(Remedy::Policy).second) {
      return;
    }
    add(policy_url(facts_), lines_of(plan_->policy));
    if (analysis_.record && plan_->new_record) {
      add_record();
    }
  }

  void add_web_server() {
    if (!provider_of_policy(facts_) && given_.insert(Remedy::WebServer).second) {
      add("nginx", nginx_lines(facts_));
      add("Caddy, in place of nginx", caddy_lines(facts_));
    }
  }

  const Facts& facts_;
  const Analysis& analysis_;
  const std::optional<Plan> plan_;
  std::set<Remedy> given_;
  std::vector<report::FixLine> lines_;
};

}  // namespace

std::string named(std::string_view text, const std::string& domain) {
  constexpr std::string_view kPlace = "<domain>";
  std::string result(text);
  for (std::size_t at = result.find(kPlace); at != std::string::npos;
       at = result.find(kPlace, at + domain.size())) {
    result.replace(at, kPlace.size(), domain);
  }
  return result;
}

void add_fixes(const Facts& facts, const Analysis& analysis, Findings& findings) {
  Lines lines(facts, analysis);
  for (std::size_t i = 0; i < findings.size(); ++i) {
    Finding& finding = findings[i];
    const Code code = finding.kind->id;
    if (is_told_elsewhere(code, findings)) {
      continue;
    }
    finding.fix = sentence_for(finding, facts);
    const bool last_of_its_kind = i + 1 == findings.size() || findings[i + 1].kind != finding.kind;
    if (last_of_its_kind &&
        (finding.kind->severity >= Severity::Low || code == Code::TlsRptMissing)) {
      finding.lines = lines.take(remedy_for(code));
    }
  }
}

}  // namespace mtastsd::check
