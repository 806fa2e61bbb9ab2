#include "mtastsd/answer/reply.h"

#include <algorithm>

#include "mtastsd/postfix/postfix_policy.h"

namespace mtastsd::answer {

using resolver::Standing;

namespace {

// RFC 8461 section 2: a policy must not override DANE.
void consult_dane(const cache::EntryView& entry, const Question& question, WallTime now,
                  resolver::Verdict& known) {
  const dane::Verdict verdict = dane::judge(entry.dane_facts(question.target), now);
  known.survey = verdict.survey;
  if (verdict.survey == dane::Survey::First && !question.last_chance) {
    known.standing = Standing::Unknown;
    return;
  }
  if (verdict.survey == dane::Survey::NotNeeded) {
    known.until = std::min(known.until, verdict.until);
  }
  if (verdict.ruling == dane::Ruling::Applies) {
    known.standing = Standing::Dane;
  }
}

}  // namespace

resolver::Verdict reply_from_entry(cache::EntryView& entry, const Question& question, WallTime now,
                                   std::vector<std::string_view>& patterns, std::string& reply) {
  const cache::EntryFacts& facts = entry.facts();
  resolver::Verdict known;
  if (question.fresh && facts.has_policy) {
    known.standing =
        facts.mode == mtasts::Mode::Enforce ? Standing::Enforced : Standing::NotEnforced;
  } else {
    known = resolver::judge(facts, now);
  }
  if (known.standing == Standing::NotEnforced && question.profile.enforce_testing &&
      facts.mode == mtasts::Mode::Testing) {
    known.standing = Standing::Enforced;
  }
  if (known.standing == Standing::Enforced && question.profile.dane) {
    consult_dane(entry, question, now, known);
  }
  switch (known.standing) {
    case Standing::Unknown:
    case Standing::Overridden:  // never comes from what is known
    case Standing::Observed:
      break;
    case Standing::NoPolicy:
    case Standing::NotEnforced:
      reply = postfix::kNotFound;
      break;
    case Standing::Enforced:
    case Standing::Dane: {
      entry.mx_patterns(patterns);
      const postfix::EnforcedPolicy policy{question.domain.view(), facts.mode, facts.max_age,
                                           patterns};
      if (known.standing == Standing::Dane) {
        postfix::append_dane_reply(reply, policy, question.profile);
      } else {
        postfix::append_secure_reply(reply, policy, question.profile);
      }
      break;
    }
  }
  return known;
}

namespace {

void append_pinned_reply(const overrides::Override& pin, const Question& question,
                         std::string& reply) {
  std::vector<std::string> names;
  std::vector<std::string_view> patterns;
  names.reserve(pin.mx.size());
  for (const mtasts::MxPattern& pattern : pin.mx) {
    patterns.push_back(names.emplace_back(pattern.str()));
  }
  postfix::Profile profile = question.profile;
  profile.report_attributes = false;
  postfix::append_secure_reply(
      reply, {question.domain.view(), mtasts::Mode::Enforce, Seconds(0), patterns}, profile);
}

}  // namespace

void reply_under(const overrides::Override& override_in_force, const Question& question,
                 resolver::Verdict& known, std::string& reply) {
  using overrides::Action;
  known.needs_touch = known.needs_touch || known.standing == Standing::Unknown;
  known.standing = Standing::Overridden;
  known.survey = dane::Survey::NotNeeded;
  known.until = std::min(known.until, override_in_force.until.value_or(WallTime::max()));
  reply.clear();
  switch (override_in_force.action) {
    case Action::Ignore:
    case Action::Testing:
      reply = postfix::kNotFound;
      break;
    case Action::Pin:
      append_pinned_reply(override_in_force, question, reply);
      break;
    case Action::Dane:
      reply = postfix::kDaneOnly;
      break;
  }
}

void only_observe(resolver::Verdict& known, std::string& reply, std::string& enforced) {
  if (known.standing != Standing::Unknown && reply != postfix::kNotFound) {
    known.standing = Standing::Observed;
    enforced = reply;
    reply = postfix::kNotFound;
  }
}

}  // namespace mtastsd::answer
