#include "mtastsd/answer/explain.h"

#include <utility>
#include <vector>

#include "mtastsd/answer/reply.h"
#include "mtastsd/postfix/postfix_policy.h"
#include "mtastsd/postfix/request.h"

namespace mtastsd::answer {

namespace {

// What the reply comes from stays the standing, also where the map only observes.
void settle(Explanation& it, resolver::Verdict known) {
  if (it.override_in_force) {
    reply_under(*it.override_in_force, {.domain = *it.domain, .profile = it.profile, .target = {}},
                known, it.reply);
  }
  it.standing = known.standing;
  it.survey = known.survey;
  if (it.profile.observe) {
    only_observe(known, it.reply, it.enforced);
  }
}

}  // namespace

Explanation explain_key(const Profiles& profiles, const overrides::Table* overrides,
                        std::string_view map, std::string_view key, WallTime now) {
  Explanation it;
  it.key = key;
  it.map = map;
  const auto found = profiles.find(map);
  it.map_known = found != profiles.end();
  it.profile = (it.map_known ? found : profiles.find(kDefaultMap))->second;
  it.domain = postfix::policy_domain_of(key);
  it.target = postfix::target_of(key);
  if (!it.domain) {
    it.standing = resolver::Standing::NoPolicy;
    it.reply = postfix::kNotFound;
  } else if (overrides != nullptr) {
    if (const overrides::Override* one = overrides->find(*it.domain, now)) {
      it.override_in_force = *one;
      settle(it, {});
    }
  }
  return it;
}

void explain_entry(Explanation& explanation, cache::EntryPtr entry, bool fresh, bool last_chance,
                   WallTime now) {
  cache::EntryView view(entry);
  explanation.entry = std::move(entry);
  std::vector<std::string_view> patterns;
  explanation.reply.clear();
  explanation.enforced.clear();
  const resolver::Verdict known = reply_from_entry(view,
                                                   {.domain = *explanation.domain,
                                                    .profile = explanation.profile,
                                                    .target = explanation.target,
                                                    .fresh = fresh,
                                                    .last_chance = last_chance},
                                                   now, patterns, explanation.reply);
  settle(explanation, known);
}

}  // namespace mtastsd::answer
