#include "plan.h"

#include <algorithm>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/check/findings.h"
#include "mtastsd/check/report.h"
#include "mtastsd/mtasts/mx_match.h"
#include "mtastsd/term/wrapping.h"
#include "shown.h"

namespace mtastsd::check {
namespace {

constexpr Seconds kFirstMaxAge{86400};  // of a policy that is tried out
constexpr std::size_t kColumns = 80;
constexpr std::size_t kIndent = 3;

std::string id_of(WallTime time) {
  std::string id = timestamp(time);
  std::erase_if(id, [](char c) { return !is_digit(c); });
  return id;
}

// The patterns that cover a host of today, and the names of the hosts that none of them covers.
std::vector<mtasts::MxPattern> patterns_for(const std::vector<DomainName>& hosts,
                                            const mtasts::Policy* current) {
  std::vector<mtasts::MxPattern> patterns;
  if (current != nullptr) {
    for (const mtasts::MxPattern& pattern : current->mx) {
      if (std::any_of(hosts.begin(), hosts.end(),
                      [&](const DomainName& host) { return mtasts::matches(pattern, host); })) {
        patterns.push_back(pattern);
      }
    }
  }
  for (const DomainName& host : hosts) {
    if (!mtasts::matches_any(patterns, host)) {
      patterns.push_back({.wildcard = false, .domain = host});
    }
  }
  return patterns;
}

std::vector<DomainName> hosts_of(const MailServers& mail) {
  std::vector<DomainName> hosts;
  for (const MxHost& host : mail.hosts) {
    if (host.name) {
      hosts.push_back(*host.name);
    }
  }
  return hosts;
}

Seconds max_age_for(mtasts::Mode mode, const mtasts::Policy* current) {
  if (current == nullptr) {
    return kFirstMaxAge;
  }
  return mode == mtasts::Mode::Enforce ? std::max(current->max_age, kShortMaxAge)
                                       : current->max_age;
}

std::optional<std::string> foreign_end(const std::vector<std::string>& chain,
                                       const std::string& domain) {
  if (chain.empty() || chain.back() == domain || chain.back().ends_with("." + domain)) {
    return std::nullopt;
  }
  return shown(chain.back());
}

std::string block(const std::vector<std::string>& lines) {
  return "\n" + joined(lines, "\n") + "\n\n";
}

// The numbered steps of a guide.
class Guide {
 public:
  explicit Guide(std::string title) : text_(std::move(title) + "\n\n") {}

  void step(const std::string& what, const std::vector<std::string>& lines = {}) {
    text_ += term::wrapped(std::to_string(++number_) + ".", kIndent, what, kColumns);
    text_ += lines.empty() ? "\n" : block(lines);
  }
  void add(const std::string& what, const std::vector<std::string>& lines = {}) {
    text_ += term::wrapped("", 0, what, kColumns) + (lines.empty() ? "\n" : block(lines));
  }
  std::string text() && {
    text_.pop_back();  // the blank line at the end
    return std::move(text_);
  }

 private:
  std::string text_;
  std::size_t number_ = 0;
};

// The steps that put a policy and its record in place.
void add_steps(Guide& guide, const Facts& facts, const mtasts::Policy& policy,
               std::string_view id) {
  const auto policy_provider = provider_of_policy(facts);
  guide.step(policy_provider ? "Have this policy served by " + *policy_provider + ", at " +
                                   policy_url(facts) + ":"
                             : "Serve this policy at " + policy_url(facts) + ":",
             lines_of(policy));
  if (const auto provider = provider_of_record(facts)) {
    guide.step("_mta-sts." + facts.domain + " is an alias of " + *provider +
               ", where the id of the record has to change.");
  } else {
    guide.step("Then publish this TXT record. Its id is new, so senders fetch the policy:",
               {record_line(facts, id)});
  }
}

Guidance no_hosts(const Facts& facts) {
  if (!facts.domain_exists) {
    return {facts.domain + " does not exist. Check the spelling.\n", Guidance::Kind::CannotTell};
  }
  if (facts.mail.cannot_tell()) {
    return {facts.domain + ": the MX hosts could not be looked up, so no policy can be named.\n",
            Guidance::Kind::CannotTell};
  }
  return {
      facts.domain + ": no mail server is known, so there is nothing that a policy could name.\n",
      Guidance::Kind::Nothing};
}

}  // namespace

std::optional<Plan> make_plan(const Facts& facts, const Analysis& analysis) {
  const mtasts::Policy* current = analysis.policy ? &*analysis.policy : nullptr;
  const std::vector<DomainName> hosts = hosts_of(facts.mail.value);
  Plan plan;
  if (current != nullptr && current->mode == mtasts::Mode::None) {
    plan.policy = *current;
  } else if (!facts.mail.known() || hosts.empty() || facts.mail.value.left_out > 0) {
    return std::nullopt;
  } else {
    plan.policy.mode = current != nullptr ? current->mode : mtasts::Mode::Testing;
    plan.policy.max_age = max_age_for(plan.policy.mode, current);
    plan.policy.mx = patterns_for(hosts, current);
  }
  const bool faulty =
      analysis.lines && std::any_of(analysis.lines->lines.begin(), analysis.lines->lines.end(),
                                    [](const mtasts::PolicyLine& line) {
                                      return line.verdict == mtasts::LineVerdict::Fault;
                                    });
  plan.new_policy = current == nullptr || *current != plan.policy || faulty;
  plan.new_record = plan.new_policy || !analysis.record;
  plan.id = plan.new_record ? new_id(facts, analysis) : analysis.record->id;
  return plan;
}

std::string new_id(const Facts& facts, const Analysis& analysis) {
  const std::string id = id_of(facts.at);
  return analysis.record && analysis.record->id == id ? id_of(facts.at + Seconds(1)) : id;
}

std::string record_line(const Facts& facts, std::string_view id) {
  return "_mta-sts." + facts.domain + ". 3600 IN TXT \"v=STSv1; id=" + std::string(id) + ";\"";
}

std::string reports_line(const Facts& facts, const Analysis& analysis) {
  std::vector<std::string> uris;
  if (analysis.tlsrpt) {
    std::copy_if(analysis.tlsrpt->destinations.begin(), analysis.tlsrpt->destinations.end(),
                 std::back_inserter(uris), usable_destination);
  }
  if (uris.empty()) {
    uris.push_back("mailto:tlsrpt@" + facts.domain);
  }
  return "_smtp._tls." + facts.domain + ". 3600 IN TXT \"v=TLSRPTv1; rua=" + joined(uris, ",") +
         "\"";
}

std::string policy_url(const Facts& facts) {
  return "https://mta-sts." + facts.domain + "/.well-known/mta-sts.txt";
}

std::vector<std::string> lines_of(const mtasts::Policy& policy) {
  std::vector<std::string> lines;
  const std::string text = mtasts::text_of(policy);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    if (lines.back().ends_with('\r')) {
      lines.back().pop_back();
    }
    at = end + 1;
  }
  return lines;
}

std::vector<std::string> nginx_lines(const Facts& facts) {
  const std::string host = "mta-sts." + facts.domain;
  return {"server {",
          "    listen 443 ssl;",
          "    listen [::]:443 ssl;",
          "    server_name " + host + ";",
          "    ssl_certificate /etc/ssl/" + host + ".pem;",
          "    ssl_certificate_key /etc/ssl/" + host + ".key;",
          "    location = /.well-known/mta-sts.txt {",
          "        root /var/www/" + host + ";",
          "        types { }",
          "        default_type text/plain;",
          "    }",
          "}"};
}

std::vector<std::string> caddy_lines(const Facts& facts) {
  const std::string host = "mta-sts." + facts.domain;
  return {host + " {", "    root * /var/www/" + host, "    header Content-Type text/plain",
          "    file_server", "}"};
}

std::optional<std::string> provider_of_record(const Facts& facts) {
  return foreign_end(facts.record.value.chain, facts.domain);
}

std::optional<std::string> provider_of_policy(const Facts& facts) {
  return foreign_end(facts.policy_host.addresses.value.chain, facts.domain);
}

Guidance guide_to_fix(const Report& report) {
  const Facts& facts = report.facts();
  const auto plan = make_plan(facts, report.analysis());
  if (!plan) {
    return no_hosts(facts);
  }
  const bool reports = report.analysis().tlsrpt.has_value() || facts.tlsrpt.cannot_tell();
  const std::string mode(to_string(plan->policy.mode));
  if (!plan->new_record && reports) {
    return {facts.domain + ": the record and the policy (mode " + mode +
                ") are right for the MX hosts of today.\n",
            Guidance::Kind::Nothing};
  }
  Guide guide(facts.domain + ": what to publish for the MX hosts of " + day_text(facts.at) +
              ", in mode " + mode);
  if (plan->new_policy) {
    add_steps(guide, facts, plan->policy, plan->id);
  } else if (plan->new_record) {
    guide.step("The policy (mode " + mode + ") is right as it is. Publish this TXT record, alone:",
               {record_line(facts, plan->id)});
  }
  if (!reports) {
    guide.step("Ask for TLS reports, at an address that you read:",
               {reports_line(facts, report.analysis())});
  }
  return {std::move(guide).text(), Guidance::Kind::Steps};
}

Guidance guide_to_begin(const Report& report) {
  const Facts& facts = report.facts();
  const Analysis& analysis = report.analysis();
  const std::vector<DomainName> hosts = hosts_of(facts.mail.value);
  if (!facts.mail.known() || hosts.empty()) {
    return no_hosts(facts);
  }
  if (analysis.record && analysis.policy && analysis.policy->mode != mtasts::Mode::None) {
    return {facts.domain + " has MTA-STS in mode " + std::string(to_string(analysis.policy->mode)) +
                " already; see \"mtastsctl check --fix " + facts.domain + "\".\n",
            Guidance::Kind::Nothing};
  }
  const mtasts::Policy policy{
      .mode = mtasts::Mode::Testing, .max_age = kFirstMaxAge, .mx = patterns_for(hosts, nullptr)};
  Guide guide(facts.domain + ": how to begin with MTA-STS, on " + day_text(facts.at));
  guide.step("Let a web server with a certificate for mta-sts." + facts.domain +
                 " serve one file. For nginx:",
             nginx_lines(facts));
  guide.add("For Caddy, which gets the certificate by itself:", caddy_lines(facts));
  guide.add("If a provider hosts the policy, a CNAME in place of all that (the name is theirs):",
            {"mta-sts." + facts.domain + ". 3600 IN CNAME mta-sts.provider.example."});
  add_steps(guide, facts, policy, new_id(facts, analysis));
  guide.step("Ask for TLS reports, at an address that you read:", {reports_line(facts, analysis)});
  guide.step("Run \"mtastsctl check --smtp " + facts.domain +
             "\" and correct what it finds. After two weeks without failures in the reports, set "
             "mode enforce and max_age 604800 or more, and change the id.");
  return {std::move(guide).text(), Guidance::Kind::Steps};
}

Guidance guide_to_move(const Report& report, const std::vector<DomainName>& new_hosts) {
  const Facts& facts = report.facts();
  const Analysis& analysis = report.analysis();
  const std::vector<DomainName> old_hosts = hosts_of(facts.mail.value);
  if (!facts.mail.known() || old_hosts.empty()) {
    return no_hosts(facts);
  }
  if (facts.record.cannot_tell() || facts.policy_host.fetch.cannot_tell()) {
    return {
        facts.domain + ": the policy in use could not be determined, so no date can be given.\n",
        Guidance::Kind::CannotTell};
  }
  if (!analysis.record || !analysis.policy || analysis.policy->mode == mtasts::Mode::None) {
    return {facts.domain +
                ": no policy is in use, so the MX records can change at any time. A domain that\n"
                "had one has to wait until the max_age of that one is over.\n",
            Guidance::Kind::Nothing};
  }
  mtasts::Policy both = *analysis.policy;
  std::vector<DomainName> all = old_hosts;
  all.insert(all.end(), new_hosts.begin(), new_hosts.end());
  both.mx = patterns_for(all, &*analysis.policy);
  mtasts::Policy after = *analysis.policy;
  after.mx = patterns_for(new_hosts, &*analysis.policy);
  // Senders may use the old policy for as long as that, RFC 8461 section 3.2, and the record for as
  // long as its TTL.
  const WallTime change = facts.at + analysis.policy->max_age + facts.record.value.ttl;
  const WallTime end = change + facts.mail.value.ttl;
  Guide guide(facts.domain + ": how to move its mail to " +
              joined(new_hosts, ", ", [](const DomainName& host) { return host.str(); }));
  guide.add("Each new host needs a certificate for its own name before it is used.");
  if (both == *analysis.policy) {
    guide.step(
        "The policy in use has the new hosts already, and needs no change. If it has had "
        "them since before " +
        day_text(facts.at - (change - facts.at)) + ", the next step need not wait.");
  } else {
    add_steps(guide, facts, both, new_id(facts, analysis));
  }
  guide.step("Wait until " + date_text(change) +
                 ", when no sender can have the old policy (max_age " +
                 duration_text(analysis.policy->max_age) + "). Then change the MX records:",
             [&] {
               std::vector<std::string> lines;
               for (const DomainName& host : new_hosts) {
                 lines.push_back(facts.domain + ". 3600 IN MX 10 " + host.str() + ".");
               }
               return lines;
             }());
  guide.step("From " + date_text(end) +
                 " on, new mail goes to the new hosts only. Let the old ones "
                 "run for five days more, for senders that are late. Then serve the policy without "
                 "them:",
             lines_of(after));
  if (const auto provider = provider_of_record(facts)) {
    guide.step("Have " + *provider + " change the id once more.");
  } else {
    guide.step("Change the id once more:", {record_line(facts, id_of(end + Seconds(5 * 86400)))});
  }
  return {std::move(guide).text(), Guidance::Kind::Steps};
}

}  // namespace mtastsd::check
