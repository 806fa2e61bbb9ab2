#include "mtastsd/answer/reply.h"

#include "mtastsd/postfix/postfix_policy.h"

namespace mtastsd::answer {

using resolver::Standing;

resolver::Verdict reply_from_entry(cache::EntryView& entry, bool fresh, WallTime now,
                                   const DomainName& domain, const postfix::Profile& profile,
                                   std::vector<std::string_view>& patterns, std::string& reply) {
  const cache::EntryFacts& facts = entry.facts();
  resolver::Verdict known =
      fresh && facts.has_policy
          ? resolver::Verdict{facts.mode == mtasts::Mode::Enforce ? Standing::Enforced
                                                                  : Standing::NotEnforced,
                              false}
          : resolver::judge(facts, now);
  if (known.standing == Standing::NotEnforced && profile.enforce_testing &&
      facts.mode == mtasts::Mode::Testing) {
    known.standing = Standing::Enforced;
  }
  switch (known.standing) {
    case Standing::Unknown:
      break;
    case Standing::NoPolicy:
    case Standing::NotEnforced:
      reply = postfix::kNotFound;
      break;
    case Standing::Enforced:
      entry.mx_patterns(patterns);
      postfix::append_secure_reply(reply, {domain.view(), facts.mode, facts.max_age, patterns},
                                   profile);
      break;
  }
  return known;
}

}  // namespace mtastsd::answer
