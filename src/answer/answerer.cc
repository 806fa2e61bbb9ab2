// Logs UnknownMap, once for each name, and Observed for a domain that is new among those observed.

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
constexpr std::size_t kMaxObservedLines = 20;  // in a minute
constexpr std::chrono::minutes kObservedLinesInterval{1};

dane::Target target_of(const postfix::Profile& profile, std::string_view key) {
  return profile.dane ? postfix::target_of(key) : dane::Target{};
}

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

void Answerer::set_overrides(overrides::TablePtr overrides) {
  overrides_ = std::move(overrides);
  memo_.forget();
}

void Answerer::set_traced(Traced traced) {
  traced_ = std::move(traced);
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
  if (is_traced(*domain)) {
    log_.write(Event::QueryReceived,
               {{"domain", domain->view()}, {"map", parts.map}, {"key", parts.key}});
  }
  const cache::Versions::Slot slot = cache::Versions::slot_of(*domain);
  const std::uint64_t version = reader_->versions().version(slot);  // before anything is read
  const Question question{
      .domain = *domain, .profile = profile, .target = target_of(profile, parts.key)};
  const Verdict known = from_cache(question, now, reply);
  const bool is_known = known.standing != Standing::Unknown;
  if (known.needs_touch || (is_known && known.survey != dane::Survey::NotNeeded)) {
    tell_resolver(known, question, now);
  } else if (is_known && known.standing != Standing::Observed && !is_traced(*domain)) {
    memo_.keep(request, {reply, known.standing, slot, version}, now, known.until);
  }
  if (is_known) {
    trace_answer(*domain, "cache", reply);
    return true;
  }
  counters_.asked.add();
  const std::uint64_t number = next_question_++;
  const bool survey = known.survey == dane::Survey::First;
  const SteadyTime since = clock_.steady();
  waiting_.emplace(number, Waiting{.ticket = ticket,
                                   .since = since,
                                   .domain = *domain,
                                   .profile = profile,
                                   .target = question.target,
                                   // In force now, it is applied when the survey is done.
                                   .fresh = survey,
                                   .surveyed = survey});
  deadlines_.emplace_back(since + options_.answer_timeout, number);
  arm_deadline();
  if (survey) {
    asker_.survey(*domain, question.target, number);
  } else {
    asker_.ask(*domain, number);
  }
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

Verdict Answerer::from_cache(const Question& question, WallTime now, std::string& reply) {
  cache::Reader::Snapshot snapshot(*reader_);
  auto entry = snapshot.find(question.domain);
  return entry ? from_entry(*entry, question, now, reply) : from_nothing(question, now, reply);
}

Verdict Answerer::from_nothing(const Question& question, WallTime now, std::string& reply) {
  Verdict known;
  settle(question, now, known, reply);
  return known;
}

Verdict Answerer::from_entry(cache::EntryView& entry, const Question& question, WallTime now,
                             std::string& reply) {
  Verdict known = reply_from_entry(entry, question, now, patterns_, reply);
  settle(question, now, known, reply);
  return known;
}

// What the operator decided counts more than what is known. Where that is nothing, it costs these
// comparisons.
void Answerer::settle(const Question& question, WallTime now, Verdict& known, std::string& reply) {
  if (overrides_ != nullptr) {
    if (const overrides::Override* one = overrides_->find(question.domain, now)) {
      reply_under(*one, question, known, reply);
    }
  }
  if (question.profile.observe) {
    observe(question, known, reply);
  }
  count(known.standing);
}

void Answerer::observe(const Question& question, Verdict& known, std::string& reply) {
  only_observe(known, reply, enforced_);
  if (known.standing != Standing::Observed) {
    return;
  }
  if (!observations_) {
    observations_ = std::make_unique<Observations>();
  }
  if (observations_->add(question.domain)) {
    log_observed(question);
  }
}

void Answerer::log_observed(const Question& question) {
  const SteadyTime now = clock_.steady();
  if (observed_lines_ == 0 || now - observed_lines_since_ >= kObservedLinesInterval) {
    observed_lines_since_ = now;
    observed_lines_ = 0;
  }
  if (observed_lines_ == kMaxObservedLines) {
    ++observed_lines_left_out_;
    return;
  }
  ++observed_lines_;
  log_.write(Event::Observed, {{"domain", question.domain.view()},
                               {"reply", enforced_},
                               {"left_out", std::exchange(observed_lines_left_out_, 0)}});
}

// Where nothing is traced, a query that has to be worked out costs this comparison, and one that is
// remembered costs nothing.
bool Answerer::is_traced(const DomainName& domain) const {
  return traced_ != nullptr &&
         std::find(traced_->begin(), traced_->end(), domain) != traced_->end();
}

void Answerer::trace_answer(const DomainName& domain, std::string_view from,
                            std::string_view reply) {
  if (is_traced(domain)) {
    log_.write(Event::QueryAnswered, {{"domain", domain.view()}, {"from", from}, {"reply", reply}});
  }
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
    case Standing::Dane:
      counters_.dane.add();
      break;
    case Standing::Overridden:
      counters_.overridden.add();
      break;
    case Standing::Observed:
      counters_.observed.add();
      break;
  }
}

void Answerer::tell_resolver(const Verdict& known, const Question& question, WallTime now) {
  const std::size_t hash = std::hash<DomainName>{}(question.domain);
  if (known.needs_touch && !told_lately(hash, now)) {
    asker_.ask(question.domain, 0);
  }
  // Another place for each target.
  const std::size_t beside = 1 + 2 * question.target.port + (question.target.by_mx ? 1 : 0);
  if (known.survey == dane::Survey::InBackground && !told_lately(hash + beside, now)) {
    asker_.survey(question.domain, question.target, 0);
  }
}

bool Answerer::told_lately(std::size_t hash, WallTime now) {
  Told& told = told_[hash % told_.size()];
  if (told.hash == hash && now >= told.at && now < told.at + kTellAgainAfter) {
    return true;
  }
  told = {hash, now};
  return false;
}

void Answerer::on_answer(std::uint64_t number, const resolver::Answer& answer) {
  const auto it = waiting_.find(number);
  if (it == waiting_.end()) {
    return;  // answered by its deadline
  }
  Waiting& waiting = it->second;
  waiting.fresh = waiting.fresh || answer.fresh;
  if (answer.entry) {
    waiting.entry = answer.entry;
  }
  std::string reply;
  Verdict known;
  const Question question{.domain = waiting.domain,
                          .profile = waiting.profile,
                          .target = waiting.target,
                          .fresh = waiting.fresh,
                          .last_chance = waiting.surveyed};
  if (waiting.entry) {
    cache::EntryView entry(waiting.entry);
    known = from_entry(entry, question, clock_.wall(), reply);
  } else {
    known = from_nothing(question, clock_.wall(), reply);
  }
  if (known.standing == Standing::Unknown && known.survey == dane::Survey::First) {
    waiting.surveyed = true;
    waiting.fresh = true;  // in force now, it is applied when the survey is done
    asker_.survey(waiting.domain, waiting.target, number);
    return;
  }
  if (known.standing == Standing::Unknown) {
    reply = postfix::kNotFound;
  }
  note_time(waiting);
  trace_answer(waiting.domain, "lookup", reply);
  const socketmap::Ticket ticket = waiting.ticket;
  waiting_.erase(it);
  reply_(ticket, reply);
}

// The best that is known: a cached policy, else as if there were none.
void Answerer::answer_from_cache(const Waiting& waiting) {
  std::string reply;
  const Question question{.domain = waiting.domain,
                          .profile = waiting.profile,
                          .target = waiting.target,
                          .fresh = waiting.fresh,
                          .last_chance = true};
  Verdict known;
  if (waiting.entry) {
    cache::EntryView entry(waiting.entry);
    known = from_entry(entry, question, clock_.wall(), reply);
  } else {
    known = from_cache(question, clock_.wall(), reply);
  }
  if (known.standing == Standing::Unknown) {
    reply = postfix::kNotFound;
  }
  note_time(waiting);
  trace_answer(waiting.domain, "deadline", reply);
  reply_(waiting.ticket, reply);
}

void Answerer::note_time(const Waiting& waiting) {
  counters_.answer_time.add(
      std::chrono::duration_cast<Milliseconds>(clock_.steady() - waiting.since));
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
