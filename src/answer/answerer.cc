// Logs: "unknown map name" (warn, once a name).

#include "mtastsd/answer/answerer.h"

#include <algorithm>
#include <utility>

#include "mtastsd/answer/reply.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/log/log.h"
#include "mtastsd/postfix/postfix_policy.h"
#include "mtastsd/postfix/request.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd::answer {
namespace {

using resolver::Standing;
using resolver::Verdict;

constexpr Seconds kTellAgainAfter{5};
constexpr std::size_t kMaxWarnedMaps = 32;

}  // namespace

Answerer::Answerer(const Clock& clock, event::Timers& timers, const cache::LmdbStore& store,
                   Asker& asker, Log& log, Counters& counters, AnswerOptions options)
    : clock_(clock),
      asker_(asker),
      log_(log),
      counters_(counters),
      options_(std::move(options)),
      reader_(store.make_reader()),
      memo_(reader_->versions()),
      deadline_timer_(timers.make_timer([this] { on_deadline(); })) {}

void Answerer::set_options(AnswerOptions options) {
  options_ = std::move(options);
  memo_.forget();
}

bool Answerer::handle(std::string_view request, const socketmap::Ticket& ticket,
                      std::string& reply) {
  counters_.queries.add();
  const WallTime now = clock_.wall();
  if (from_memo(request, now, reply)) {
    return true;
  }
  const postfix::Request parts = postfix::split_request(request);
  const postfix::Profile& profile = profile_of(parts.map);
  const auto domain = postfix::policy_domain_of(parts.key);
  if (!domain) {
    counters_.no_domain.add();
    reply = postfix::kNotFound;
    return true;
  }
  const cache::Versions::Slot slot = cache::Versions::slot_of(*domain);
  const std::uint64_t version = reader_->versions().version(slot);  // before anything is read
  const Verdict known = from_cache(*domain, profile, now, reply);
  if (known.needs_touch) {
    tell_resolver(*domain, now);
    return true;
  }
  if (known.standing != Standing::Unknown) {
    memo_.keep(request, {reply, known.standing, slot, version}, now, known.until);
    return true;
  }
  counters_.asked.add();
  const std::uint64_t question = next_question_++;
  waiting_.emplace(question, Waiting{ticket, *domain, profile});
  deadlines_.emplace_back(clock_.steady() + options_.answer_timeout, question);
  arm_deadline();
  asker_.ask(*domain, question);
  return false;
}

bool Answerer::from_memo(std::string_view request, WallTime now, std::string& reply) {
  const auto known = memo_.find(request, now);
  if (!known) {
    return false;
  }
  reply = known->reply;
  count(known->standing);
  return true;
}

const postfix::Profile& Answerer::profile_of(std::string_view map) {
  if (const auto it = options_.profiles.find(map); it != options_.profiles.end()) {
    return it->second;
  }
  const postfix::Profile& fallback = options_.profiles.find(kDefaultMap)->second;
  if (warned_maps_.size() < kMaxWarnedMaps &&
      std::find(warned_maps_.begin(), warned_maps_.end(), map) == warned_maps_.end()) {
    warned_maps_.emplace_back(map);
    log_.write(Event::UnknownMap, {{"map", map}});
  }
  return fallback;
}

Verdict Answerer::from_cache(const DomainName& domain, const postfix::Profile& profile,
                             WallTime now, std::string& reply) {
  cache::Reader::Snapshot snapshot(*reader_);
  auto entry = snapshot.find(domain);
  return entry ? from_entry(*entry, false, domain, profile, now, reply) : Verdict{};
}

// `fresh`: the policy was fetched for this very query.
Verdict Answerer::from_entry(cache::EntryView& entry, bool fresh, const DomainName& domain,
                             const postfix::Profile& profile, WallTime now, std::string& reply) {
  const Verdict known = reply_from_entry(entry, fresh, now, domain, profile, patterns_, reply);
  count(known.standing);
  return known;
}

void Answerer::count(Standing standing) {
  switch (standing) {
    case Standing::Unknown:
      break;
    case Standing::NoPolicy:
      counters_.no_policy.add();
      break;
    case Standing::NotEnforced:
      counters_.not_enforced.add();
      break;
    case Standing::Enforced:
      counters_.enforced.add();
      break;
  }
}

void Answerer::tell_resolver(const DomainName& domain, WallTime now) {
  const std::size_t hash = std::hash<DomainName>{}(domain);
  Told& told = told_[hash % told_.size()];
  if (told.hash == hash && now >= told.at && now < told.at + kTellAgainAfter) {
    return;
  }
  told = {hash, now};
  asker_.ask(domain, 0);
}

void Answerer::on_answer(std::uint64_t question, const resolver::Answer& answer) {
  const auto it = waiting_.find(question);
  if (it == waiting_.end()) {
    return;  // answered by its deadline
  }
  const Waiting waiting = it->second;
  waiting_.erase(it);
  std::string reply;
  Verdict known;
  if (answer.entry != nullptr) {
    cache::EntryView entry(answer.entry);
    known = from_entry(entry, answer.fresh, waiting.domain, waiting.profile, clock_.wall(), reply);
  }
  if (known.standing == Standing::Unknown) {
    reply = postfix::kNotFound;
  }
  reply_(waiting.ticket, reply);
}

// The best that is known: a cached policy, else as if there were none.
void Answerer::answer_from_cache(const Waiting& waiting) {
  std::string reply;
  const Verdict known = from_cache(waiting.domain, waiting.profile, clock_.wall(), reply);
  if (known.standing == Standing::Unknown) {
    reply = postfix::kNotFound;
  }
  reply_(waiting.ticket, reply);
}

void Answerer::on_deadline() {
  const SteadyTime now = clock_.steady();
  while (!deadlines_.empty() && deadlines_.front().first <= now) {
    const std::uint64_t question = deadlines_.front().second;
    deadlines_.pop_front();
    if (auto node = waiting_.extract(question)) {
      counters_.timed_out.add();
      answer_from_cache(node.mapped());
    }
  }
  arm_deadline();
}

void Answerer::arm_deadline() {
  while (!deadlines_.empty() && !waiting_.contains(deadlines_.front().second)) {
    deadlines_.pop_front();
  }
  if (deadlines_.empty() || deadline_timer_->armed()) {
    return;
  }
  const auto wait = std::chrono::ceil<Milliseconds>(deadlines_.front().first - clock_.steady());
  deadline_timer_->arm(std::max(wait, Milliseconds(0)));
}

void Answerer::answer_all_now() {
  deadlines_.clear();
  for (const auto& [question, waiting] : std::exchange(waiting_, {})) {
    answer_from_cache(waiting);
  }
}

}  // namespace mtastsd::answer
