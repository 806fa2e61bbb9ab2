#include "mtastsd/answer/explain.h"

#include <utility>
#include <vector>

#include "mtastsd/answer/reply.h"
#include "mtastsd/postfix/postfix_policy.h"
#include "mtastsd/postfix/request.h"

namespace mtastsd::answer {

Explanation explain_key(const Profiles& profiles, std::string_view map, std::string_view key) {
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
  }
  return it;
}

void explain_entry(Explanation& explanation, cache::EntryPtr entry, bool fresh, bool last_chance,
                   WallTime now) {
  cache::EntryView view(entry);
  explanation.entry = std::move(entry);
  std::vector<std::string_view> patterns;
  explanation.reply.clear();
  const resolver::Verdict known = reply_from_entry(view,
                                                   {.domain = *explanation.domain,
                                                    .profile = explanation.profile,
                                                    .target = explanation.target,
                                                    .fresh = fresh,
                                                    .last_chance = last_chance},
                                                   now, patterns, explanation.reply);
  explanation.standing = known.standing;
  explanation.survey = known.survey;
}

}  // namespace mtastsd::answer
