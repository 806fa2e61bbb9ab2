#include "mx_watch.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "line_budget.h"
#include "mtastsd/base/owner.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "mtastsd/mtasts/mx_match.h"

namespace mtastsd::resolver {
namespace {

constexpr Seconds kRound{86400};
constexpr Seconds kLookAgainAfter{3600};
constexpr Seconds kStep{2};
constexpr std::size_t kMostInStep = 10;  // 300 a minute, 432,000 a day
constexpr std::size_t kMostAtOnce = 50;  // where DNS is slow
constexpr Seconds kIdleStep{60};         // when a round is over
constexpr std::size_t kMaxMismatches = 2000;
constexpr std::size_t kMaxHostsText = 150;  // bytes

}  // namespace

MxMatch match_mx(const std::vector<mtasts::MxPattern>& patterns,
                 const dns::Answer<dns::MxRecords>& answer) {
  using Kind = MxMatch::Kind;
  if (!answer) {
    return {Kind::Unknown, ""};
  }
  const auto* mx = std::get_if<dns::MxRecords>(&*answer);
  const bool is_null = mx != nullptr && mx->records.size() == 1 && mx->records[0].host == ".";
  if (mx == nullptr || is_null) {
    return {Kind::Matches, ""};
  }
  MxMatch match{Kind::Differs, ""};
  for (const dns::Mx& record : mx->records) {
    const auto host = DomainName::parse(record.host);
    if (host && mtasts::matches_any(patterns, *host)) {
      return {Kind::Matches, ""};
    }
    if (match.hosts.size() + record.host.size() < kMaxHostsText) {
      match.hosts += (match.hosts.empty() ? "" : ",") + record.host;
    }
  }
  return match;
}

MxWatch::MxWatch(const Services& services, Counters& counters, LineBudget& line_budget)
    : services_(services),
      counters_(counters),
      line_budget_(line_budget),
      timer_(services.timers.make_timer([this] { step(); })) {
  slots_.set_size(kMaxMismatches);
  if (services.dns != nullptr) {
    timer_->arm(kStep);
  }
}

std::vector<MxMismatch> MxWatch::mismatches(const std::string& after, std::size_t most) const {
  std::vector<MxMismatch> found;
  const auto behind = [&after](const auto& one) { return one.first.view() > after; };
  for (auto it = std::find_if(mismatches_.begin(), mismatches_.end(), behind);
       it != mismatches_.end() && found.size() < most; ++it) {
    found.push_back(it->second.mismatch);
  }
  return found;
}

void MxWatch::step() {
  std::size_t room = std::min(kMostAtOnce - running_.size(), kMostInStep);
  room -= look_again(room);
  read_more();
  while (room > 0 && !next_.empty()) {
    const DomainName domain = next_.front();
    next_.pop_front();
    room -= look_at(domain) ? 1 : 0;
  }
  timer_->arm(at_end_ && next_.empty() ? kIdleStep : kStep);
}

// Names of the next domains, a page in each step. At the end of a round the
// next one waits for its day.
void MxWatch::read_more() {
  const SteadyTime now = services_.clock.steady();
  if (!next_.empty() || (at_end_ && now - round_began_ < kRound)) {
    return;
  }
  if (after_.empty()) {
    round_began_ = now;
  }
  const cache::Page page = services_.store.page(after_);
  for (const auto& [domain, entry] : page.entries) {
    if (patterns_of(domain, *entry) != nullptr) {
      next_.push_back(domain);
    }
  }
  after_ = page.last;
  at_end_ = after_.empty();
}

// What differs and was looked at an hour ago. Returns how many lookups it has
// begun.
std::size_t MxWatch::look_again(std::size_t room) {
  const SteadyTime now = services_.clock.steady();
  std::vector<DomainName> due;
  for (const auto& [domain, known] : mismatches_) {
    if (due.size() < room && now - known.looked_at >= kLookAgainAfter) {
      due.push_back(domain);
    }
  }
  std::size_t begun = 0;
  for (const DomainName& domain : due) {
    if (look_at(domain)) {
      ++begun;
      if (const auto it = mismatches_.find(domain); it != mismatches_.end()) {
        it->second.looked_at = now;
      }
    } else {
      drop(domain);  // it is not held to patterns any more
    }
  }
  return begun;
}

// What mail to the domain is held to; null: nothing, or not by its MX hosts.
const std::vector<mtasts::MxPattern>* MxWatch::patterns_of(const DomainName& domain,
                                                           const cache::Entry& entry) const {
  const WallTime now = services_.clock.wall();
  if (!entry.holds_policy() || entry.policy->policy.mode != mtasts::Mode::Enforce ||
      entry.policy->expires_at() <= now || now >= entry.last_used_at + idle_after_) {
    return nullptr;
  }
  if (overrides_ != nullptr) {
    if (const overrides::Override* one = overrides_->find(domain, now)) {
      return one->action == overrides::Action::Pin ? &one->mx : nullptr;
    }
  }
  // RFC 8461 section 2: where DANE decides, the policy does not.
  const dane::State* state = cache::find_dane(entry, dane::Target{});
  const bool dane = state != nullptr && judge(state->facts, now).ruling == dane::Ruling::Applies;
  return dane ? nullptr : &entry.policy->policy.mx;
}

// False: there is nothing to look up.
bool MxWatch::look_at(const DomainName& domain) {
  if (running_.contains(domain)) {
    return true;
  }
  const cache::EntryPtr entry = services_.store.find(domain);
  if (!entry || patterns_of(domain, *entry) == nullptr) {
    return false;
  }
  counters_.mx_looks.add();
  running_[domain] = services_.dns->mx(
      domain.str(),
      [this, domain](const dns::Answer<dns::MxRecords>& answer) { on_answer(domain, answer); });
  return true;
}

void MxWatch::on_answer(const DomainName& domain, const dns::Answer<dns::MxRecords>& answer) {
  const auto ended = running_.extract(domain);
  // Read now and not at the start: the answer took its time.
  const cache::EntryPtr entry = services_.store.find(domain);
  const auto* patterns = entry ? patterns_of(domain, *entry) : nullptr;
  if (patterns == nullptr) {
    drop(domain);
    return;
  }
  const MxMatch match = match_mx(*patterns, answer);
  switch (match.kind) {
    case MxMatch::Kind::Unknown:  // what was known stands
      counters_.mx_failures.add();
      break;
    case MxMatch::Kind::Matches:
      if (mismatches_.contains(domain)) {
        services_.log.write(Event::MxMismatchEnded, {{"domain", domain.view()}});
        drop(domain);
      }
      break;
    case MxMatch::Kind::Differs:
      found(domain, entry->policy->id, match.hosts);
      break;
  }
}

void MxWatch::found(const DomainName& domain, const std::string& id, const std::string& hosts) {
  const SteadyTime now = services_.clock.steady();
  const std::string owner = owner_of(domain);
  auto it = mismatches_.find(domain);
  const bool is_new = it == mismatches_.end();
  if (is_new && slots_.may_take(owner)) {
    slots_.take(owner);
    it = mismatches_.emplace(domain, Known{{domain, services_.clock.wall(), ""}, now}).first;
  }
  if (it != mismatches_.end()) {
    it->second.mismatch.hosts = hosts;
    it->second.looked_at = now;
  }
  if (is_new && line_budget_.spend(owner, now)) {
    services_.log.write(Event::MxMismatch, {{"domain", domain.view()}, {"id", id}, {"mx", hosts}});
  }
}

void MxWatch::drop(const DomainName& domain) {
  if (mismatches_.erase(domain) > 0) {
    slots_.give_back(owner_of(domain));
  }
}

}  // namespace mtastsd::resolver
