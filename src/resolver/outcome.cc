#include "outcome.h"

#include "mtastsd/log/log.h"

namespace mtastsd::resolver {
namespace {

void log_kind(Log& log, const DomainName& domain, const Outcome& outcome) {
  const auto& policy = outcome.entry.policy;
  const bool holds_policy = outcome.entry.holds_policy();
  const std::string_view cached = holds_policy ? to_string(policy->policy.mode) : "no";
  const auto took = outcome.took.count();
  switch (outcome.kind) {
    case Outcome::Kind::Fetched:
      log.write(Event::PolicyStored, {{"domain", domain.view()},
                                      {"mode", to_string(policy->policy.mode)},
                                      {"id", policy->id},
                                      {"max_age", policy->policy.max_age.count()},
                                      {"change", to_string(outcome.change)},
                                      {"took_ms", took}});
      break;
    case Outcome::Kind::FetchFailed:
      log.write(Event::FetchFailed, {{"domain", domain.view()},
                                     {"result", to_string(outcome.entry.failure->type)},
                                     {"cached", cached},
                                     {"reason", outcome.detail},
                                     {"took_ms", took}});
      break;
    case Outcome::Kind::DnsFailed:
    case Outcome::Kind::RecordUnusable:
      log.write(outcome.kind == Outcome::Kind::RecordUnusable ? Event::RecordUnusable
                : outcome.again                               ? Event::TxtLookupFailedAgain
                                                              : Event::TxtLookupFailed,
                {{"domain", domain.view()},
                 {"cached", cached},
                 {"reason", outcome.detail},
                 {"took_ms", took}});
      break;
    case Outcome::Kind::Checked:
      log.write(holds_policy ? Event::PolicyChecked : Event::NoPolicy,
                {{"domain", domain.view()}, {"reason", outcome.detail}, {"took_ms", took}});
      break;
  }
}

}  // namespace

void log_outcome(Log& log, const DomainName& domain, const Outcome& outcome, WallTime now) {
  log_kind(log, domain, outcome);
  const auto& policy = outcome.entry.policy;
  if (outcome.weaker) {
    log.write(
        Event::PolicyWeakened,
        {{"domain", domain.view()}, {"mode", to_string(policy->policy.mode)}, {"id", policy->id}});
  }
  if (outcome.alarm) {
    const cache::Failure& why = *outcome.entry.failure;
    log.write(Event::RefreshFailing, {{"domain", domain.view()},
                                      {"result", to_string(why.type)},
                                      {"reason", why.detail},
                                      {"failures", why.count},
                                      {"expires_in_s", (policy->expires_at() - now).count()}});
  }
}

}  // namespace mtastsd::resolver
