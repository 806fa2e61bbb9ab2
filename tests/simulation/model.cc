#include "simulation/model.h"

#include <algorithm>

namespace mtastsd::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

// RFC 8461 section 3.3 asks for at least five minutes between attempts for one id; a stored time
// is good to a second.
constexpr Seconds kLeastRetry{299};
// The sender's own promises: a question is answered in time, failed fetches are tried again within
// about an hour, every day has its refresh, and the work of a moment when all domains come at once
// is done within kWork.
constexpr Seconds kAnswerTimeout{20};
constexpr minutes kMostRetry{67};
constexpr hours kRefresh{24};
constexpr minutes kWork{20};
// A life shorter than this is renewed by questions alone.
constexpr Seconds kLeastRefreshed{240};
constexpr hours kAlarm{24};
constexpr hours kMostPutOff{24 * 7};
// However short its life, a policy may be applied to the delivery that it was fetched for.
constexpr Seconds kDelivery{2};
constexpr Seconds kNoStorm{1};
// What DNS said of DANE holds for its TTL, a minute to an hour, and when it can be asked no more,
// for a week. The hosts of a survey may be known for an hour already.
constexpr Seconds kLeastSurvey{59};
constexpr Seconds kMostDaneLife{3600};
constexpr Seconds kDaneHold{7 * 86400};
constexpr Seconds kDaneMargin{2 * 3600};
constexpr std::string_view kDaneReply = "OK dane-only";

}  // namespace

std::optional<std::string> match_of(std::string_view reply) {
  constexpr std::string_view kBegin = "OK secure match=";
  constexpr std::string_view kEnd = " servername=hostname";
  if (reply == "NOTFOUND ") {
    return "";
  }
  if (!reply.starts_with(kBegin) || !reply.ends_with(kEnd)) {
    return std::nullopt;
  }
  return std::string(reply.substr(kBegin.size(), reply.size() - kBegin.size() - kEnd.size()));
}

Model::Model(const Clock& clock, const World& world, Trace& trace, const resolver::Options& options)
    : clock_(clock), world_(world), trace_(trace), options_(options), domains_(world.size()) {}

void Model::violated(std::size_t domain, const std::string& what) {
  if (violation_.empty()) {
    violation_ = what;
    violator_ = domain;
    trace_.add(domain, "VIOLATION", what);
  }
}

// RFC 8461 section 3.2: max_age seconds from the fetch.
bool Model::alive(const Known& known) const {
  return known.policy && clock_.wall() < known.fetched_wall + known.policy->max_age;
}

bool Model::may_apply(const Known& known, SteadyTime since) const {
  // What the wall clock has gone on by, or less after a step back.
  const Seconds passed = std::chrono::ceil<Seconds>(clock_.steady() - since) +
                         (stepped_ >= since ? std::max(last_step_, Seconds(0)) : Seconds(0));
  return known.policy &&
         clock_.wall() - passed < known.fetched_wall + std::max(known.policy->max_age, kDelivery);
}

bool Model::surely_alive(const Known& known) const {
  return alive(known) && !known.lapsed && clock_.wall() < known.sure_until;
}

bool Model::set_right_lately() const {
  return stepped_back_ > SteadyTime{} && clock_.steady() < stepped_back_ + 2 * kMostPutOff;
}

bool Model::in_use(const Domain& domain, Seconds margin) const {
  return domain.was_questioned &&
         clock_.wall() < domain.questioned_wall + options_.limits.idle_after - margin;
}

// What the sender means to do at a moment of the wall clock, a clock that is set back puts off: to
// the next question, and by a week at most.
SteadyTime Model::put_off_until(const Domain& domain) const {
  if (stepped_back_ == SteadyTime{}) {
    return {};
  }
  const SteadyTime latest = stepped_back_ + kMostPutOff;
  return domain.asked_since_back > stepped_back_ ? std::min(domain.asked_since_back, latest)
                                                 : latest;
}

// Since when nothing keeps the sender from seeing the truth about a domain and acting on it.
SteadyTime Model::undisturbed_since(std::size_t domain) const {
  return std::max({world_.settled(domain), started_, stepped_});
}

// --- what happens to the sender ---------------------------------------------------------------

void Model::started() {
  started_ = clock_.steady();
  for (Domain& domain : domains_) {
    domain.fetch_owed.reset();
    cut_survey_off(domain.dane);
  }
}

void Model::killed() {
  for (const std::size_t number : dirty_) {
    domains_[number].now = domains_[number].on_disk;
    domains_[number].dirty = false;
  }
  dirty_.clear();
  for (Domain& domain : domains_) {
    if (domain.dane.last_event >= committed_) {
      forget_dane(domain.dane);
    }
  }
  // The latest first: a domain may be among them more than once.
  while (!uncommitted_uses_.empty()) {
    take_back(uncommitted_uses_.back());
    uncommitted_uses_.pop_back();
  }
}

// Of a question in the very millisecond of a stop the sender may take no note, and whoever still
// waits is answered with what is known.
void Model::about_to_stop() {
  started_ = clock_.steady();
  while (!uncommitted_uses_.empty() && uncommitted_uses_.back().at == clock_.steady()) {
    take_back(uncommitted_uses_.back());
    uncommitted_uses_.pop_back();
  }
}

void Model::take_back(const Use& use) {
  domains_[use.number].questioned_wall = std::min(use.before, clock_.wall());
  domains_[use.number].asked_since_back = use.asked_since_back;
}

void Model::committed() {
  committed_ = clock_.steady();
  for (const std::size_t number : dirty_) {
    domains_[number].on_disk = domains_[number].now;
    domains_[number].dirty = false;
  }
  dirty_.clear();
  uncommitted_uses_.clear();
}

void Model::clock_about_to_step() {
  for (Domain& domain : domains_) {
    for (Known* known : {&domain.now, &domain.on_disk}) {
      known->lapsed = known->lapsed || !alive(*known);
    }
  }
}

void Model::clock_stepped(Seconds by) {
  clock_about_to_step();  // what the step made end
  stepped_ = clock_.steady();
  last_step_ = by;
  if (by < Seconds(0)) {
    stepped_back_ = stepped_;
  }
  for (Domain& domain : domains_) {
    // A use in the future counts as one of now.
    domain.questioned_wall = std::min(domain.questioned_wall, clock_.wall());
    forget_dane(domain.dane);
  }
}

// --- what the sender does and sees ------------------------------------------------------------

void Model::asked_txt(std::size_t number) {
  Domain& domain = domains_[number];
  const SteadyTime now = clock_.steady();
  if (now < domain.lookups.front() + kNoStorm && started_ < domain.lookups.front() &&
      stepped_ < domain.lookups.front()) {
    violated(number, "five TXT lookups within a second");
  }
  std::rotate(domain.lookups.begin(), domain.lookups.begin() + 1, domain.lookups.end());
  domain.lookups.back() = now;
}

void Model::saw_txt(std::size_t number, const TxtSeen& seen) {
  Domain& domain = domains_[number];
  domain.txt = seen;
  // RFC 8461 sections 3.3 and 5.1: a new id is fetched, and at once.
  const bool is_new = !domain.now.policy || domain.now.id != seen.id;
  const bool has_failed = domain.now.failed && domain.now.failed->id == seen.id;
  if (seen.kind == TxtSeen::Kind::Record && is_new && !has_failed && !domain.fetch_owed) {
    domain.fetch_owed = clock_.steady();
  }
}

void Model::began_fetch(std::size_t number) {
  ++bites_.fetches;
  trace_.add(number, "fetch begins");
  domains_[number].fetch_owed.reset();
  check_fetch_allowed(number);
}

void Model::check_fetch_allowed(std::size_t number) {
  const Domain& domain = domains_[number];
  const Known& known = domain.now;
  const SteadyTime now = clock_.steady();
  const bool recorded = domain.txt.kind == TxtSeen::Kind::Record;
  const std::string& id = recorded ? domain.txt.id : known.id;
  // RFC 8461 section 3.3.
  if (known.failed && known.failed->id == id && now < known.failed->at + kLeastRetry &&
      stepped_ < known.failed->at) {
    violated(number, "a fetch for id " + id + " within five minutes of a failed one");
  }
  if (!recorded && !may_apply(known, now)) {
    violated(number, "a fetch without a record and without a policy to refresh");
  }
  if (!known.policy || known.failed || known.id != id || stepped_ >= known.fetched) {
    return;
  }
  const auto age = now - known.fetched;
  if (!alive(known)) {
    if (age < kNoStorm) {
      violated(number, "two fetches within a second");
    }
    return;
  }
  const Seconds most = std::min<Seconds>(kRefresh, known.policy->max_age / 2);
  const bool came_back = domain.came_back > known.fetched && now < domain.came_back + kWork;
  if (age < most * 8 / 10 && !came_back) {
    violated(number, "a current policy is fetched again early");
  }
  if (!in_use(domain, Seconds(-2 * 86400)) && stepped_ < now - hours(24 * 70)) {
    violated(number, "the policy of a domain that nobody mails is refreshed");
  }
}

void Model::fetched(std::size_t number, const PolicyPtr& policy) {
  Domain& domain = domains_[number];
  const std::string id = domain.txt.kind == TxtSeen::Kind::Record ? domain.txt.id : domain.now.id;
  if (!surely_alive(domain.now)) {
    forget_dane(domain.dane);  // it may have gone with the entry
    domain.dane.asked = {};
  }
  if (policy) {
    // RFC 8461 section 5.1: the newest policy counts, and lives from now.
    domain.now = {.policy = policy,
                  .id = id,
                  .fetched_wall = clock_.wall(),
                  .fetched = clock_.steady(),
                  .sure_until = clock_.wall() + policy->max_age};
    domain.good_fetch = clock_.steady();
  } else {
    domain.now.failed = Failed{id, clock_.steady()};
    domain.failed_id = id;
  }
  if (!domain.dirty) {
    domain.dirty = true;
    dirty_.push_back(number);
  }
}

// --- questions and replies --------------------------------------------------------------------

void Model::questioned(std::size_t number) {
  Domain& domain = domains_[number];
  if (!in_use(domain, Seconds(2 * 86400))) {
    domain.came_back = clock_.steady();
  }
  uncommitted_uses_.push_back(
      {number, domain.questioned_wall, domain.asked_since_back, clock_.steady()});
  if (domain.asked_since_back <= stepped_back_) {
    domain.asked_since_back = clock_.steady();
  }
  domain.was_questioned = true;
  domain.questioned_wall = clock_.wall();
  probe(number);
}

// A sender may look at a record again as late as recheck_max after it last did; a failed fetch
// for the same id may hold it up; a policy that changed under its id is found by the refresh.
// The first question after that may still be answered from the cache, and makes it look.
void Model::probe(std::size_t number) {
  Domain& domain = domains_[number];
  const SteadyTime since = undisturbed_since(number);
  SteadyTime base = since + options_.limits.recheck_max + kWork;
  if (domain.failed_id == world_.id(number)) {
    base += options_.limits.recheck_max + kMostRetry;
  }
  if (world_.drifted(number) > SteadyTime{}) {
    const SteadyTime seen =
        std::max({since, world_.drifted(number), domain.came_back, put_off_until(domain)});
    base = std::max(base, seen + kRefresh + kMostRetry + kWork);
  }
  if (domain.probe_base != base) {
    domain.probe_base = base;
    domain.probe.reset();
  }
  if (!domain.probe && clock_.steady() >= base) {
    domain.probe = clock_.steady();
  }
}

// A reply that leaves it to DANE is one from the policy, and does not show its names.
std::optional<std::string> Model::match_in(std::size_t number, std::string_view reply) const {
  if (reply != kDaneReply) {
    return match_of(reply);
  }
  const PolicyPtr& policy = domains_[number].now.policy;
  return policy && policy->enforce ? policy->match : "(DANE without a policy)";
}

void Model::replied(std::size_t number, SteadyTime asked, std::string_view reply, bool dane) {
  if (clock_.steady() > asked + kAnswerTimeout + Milliseconds(1)) {
    violated(number, "an answer after answer_timeout");
  }
  check_cached(number, asked, reply);
  check_current(number, asked, reply);
  if (reply == kDaneReply && !dane) {
    violated(number, "DANE for a Postfix that does none");
  } else if (dane && reply.starts_with("OK ")) {
    check_dane(number, reply == kDaneReply);
    check_dane_current(number, asked, reply == kDaneReply);
  }
}

void Model::check_cached(std::size_t number, SteadyTime asked, std::string_view reply) {
  const Domain& domain = domains_[number];
  const Known& known = domain.now;
  const auto match = match_in(number, reply);
  if (!match) {
    return violated(number, "a malformed reply: " + std::string(reply));
  }
  // What comes in the very millisecond in which the time for an answer is over can be too late.
  if (known.fetched == clock_.steady() && clock_.steady() >= asked + kAnswerTimeout) {
    return;
  }
  const bool enforced = known.policy && known.policy->enforce;
  const std::string wanted = enforced ? known.policy->match : "";
  if (surely_alive(known)) {
    // RFC 8461 section 3.3: whatever happens to DNS and HTTPS.
    if (*match != wanted) {
      violated(number, (match->empty() ? "an unexpired policy is not applied: " + wanted
                                       : "not the newest policy: " + *match));
    }
    bites_.enforced += enforced ? 1 : 0;
    bites_.enforced_dark +=
        enforced && (!world_.publishes(number) || world_.settled(number) > clock_.steady()) ? 1 : 0;
    return;
  }
  // Fetched for this very question, it counts even when its life is over already.
  const bool fresh = known.policy && known.fetched >= asked;
  // In force when it was asked about, it may have ended while DANE was asked for.
  const bool allowed = fresh || may_apply(known, asked);
  if (!match->empty() && (!allowed || *match != wanted)) {
    violated(number, "an answer from a policy that is no more: " + *match);
  }
  if (fresh && known.fetched == clock_.steady() && *match != wanted) {
    violated(number, "a policy fetched for this question is not applied: " + wanted);
  }
  ++(fresh ? bites_.fresh : bites_.without);
}

void Model::check_current(std::size_t number, SteadyTime asked, std::string_view reply) {
  const Domain& domain = domains_[number];
  if (!world_.publishes(number) || undisturbed_since(number) > asked || !domain.probe ||
      asked < *domain.probe + kWork) {
    return;
  }
  const Policy& truth = world_.policy(number);
  const auto match = match_in(number, reply);
  const bool just_over = truth.max_age < Seconds(3) && asked < domain.good_fetch + Seconds(4);
  if (truth.enforce ? match != truth.match && !just_over : match != "") {
    violated(number, "what is published is not applied: " + truth.match);
  }
  if (domain.now.fetched_wall > clock_.wall()) {
    violated(number, "a policy from the future is not fetched again");
  }
  ++bites_.up_to_date;
}

// --- DANE -------------------------------------------------------------------------------------

void Model::dane_event(std::size_t number) {
  domains_[number].dane.last_event = clock_.steady();
}

void Model::forget_dane(Dane& dane) {
  dane.known = Dane::Known::Perhaps;
  dane.host.fill({});
}

// A survey under way ends with the sender. What it brought is lost.
void Model::cut_survey_off(Dane& dane) {
  if (dane.outstanding > 0 || dane.to_conclude) {
    forget_dane(dane);
  }
  dane.outstanding = 0;
  dane.to_conclude = false;
}

void Model::asked_mx(std::size_t number) {
  ++bites_.surveys;
  Domain& domain = domains_[number];
  Dane& dane = domain.dane;
  conclude(dane);
  const SteadyTime now = clock_.steady();
  // Other domains cost no question about DANE.
  if (!may_apply(domain.now, now) || !domain.now.policy->enforce) {
    violated(number, "a question about DANE without a policy in force");
  }
  if (now < dane.asked + kLeastSurvey && started_ < dane.asked && stepped_ < dane.asked) {
    violated(number, "two surveys within a minute");
  }
  dane.asked = now;
  dane.outstanding = 1;
  dane.to_conclude = true;
  dane_event(number);
}

void Model::saw_mx(std::size_t number, DaneSeen seen, std::size_t hosts) {
  Dane& dane = domains_[number].dane;
  --dane.outstanding;
  dane.mx = seen;
  dane.hosts = hosts;
  dane_event(number);
}

void Model::asked_host(std::size_t number) {
  ++domains_[number].dane.outstanding;
  dane_event(number);
}

void Model::saw_host(std::size_t number, std::size_t host, DaneSeen seen) {
  Dane& dane = domains_[number].dane;
  --dane.outstanding;
  dane.host[host].seen = seen;
  if (seen == DaneSeen::Yes) {
    dane.last_usable = clock_.steady();
  }
  if (seen != DaneSeen::Failed) {
    dane.host[host].was_good = true;
    dane.host[host].was_usable = seen == DaneSeen::Yes;
    dane.host[host].good_at = clock_.steady();
  }
  dane_event(number);
}

// What a survey that has ended means.
void Model::conclude(Dane& dane) {
  if (!dane.to_conclude || dane.outstanding > 0) {
    return;
  }
  dane.to_conclude = false;
  if (dane.mx == DaneSeen::Failed) {
    return;
  }
  dane.known_at = dane.last_event;
  dane.known = Dane::Known::DoesNot;
  const std::size_t hosts = dane.mx == DaneSeen::Yes ? dane.hosts : 0;
  std::fill(dane.host.begin() + static_cast<std::ptrdiff_t>(hosts), dane.host.end(), Dane::Host{});
  SteadyTime usable_at{};
  bool unsure = false;
  for (std::size_t i = 0; i < hosts; ++i) {
    const Dane::Host& host = dane.host[i];
    const bool counts = host.was_good && dane.last_event < host.good_at + kDaneHold - kDaneMargin;
    if (counts && host.was_usable) {
      usable_at = std::max(usable_at, host.good_at);
    }
    unsure = unsure || !counts;
  }
  if (usable_at > SteadyTime{}) {
    dane.known = Dane::Known::Applies;
    dane.known_at = usable_at;
  } else if (unsure) {
    dane.known = Dane::Known::Perhaps;
  }
}

// RFC 8461 section 2: a policy must not override DANE.
void Model::check_dane(std::size_t number, bool dane_only) {
  Dane& dane = domains_[number].dane;
  const SteadyTime now = clock_.steady();
  if (dane_only && stepped_ < dane.last_usable &&
      now > dane.last_usable + kDaneHold + kDaneMargin) {
    violated(number, "dane-only more than a week after the last good answer");
  }
  if (dane_only && dane.last_usable == SteadyTime{}) {
    violated(number, "dane-only without any usable record");
  }
  if (dane.last_event == now) {
    return;  // a survey has ended this millisecond, and the reply may be from before
  }
  conclude(dane);
  if (now > dane.known_at + kDaneHold - kDaneMargin) {
    return;
  }
  if (dane.known == Dane::Known::Applies) {
    if (!dane_only) {
      violated(number, "the policy overrides DANE, which is known to apply");
    }
    ++bites_.dane;
    bites_.dane_dark += world_.dane_settled(number) > now ? 1 : 0;
  } else if (dane.known == Dane::Known::DoesNot) {
    if (dane_only) {
      violated(number, "dane-only where DANE is known not to apply");
    }
    ++bites_.no_dane;
  }
}

// The first answer after what was known before has ended may still be from then, and makes the
// sender look.
void Model::check_dane_current(std::size_t number, SteadyTime asked, bool dane_only) {
  Dane& dane = domains_[number].dane;
  const SteadyTime base =
      std::max({world_.dane_settled(number), started_, stepped_}) + 2 * kMostDaneLife + kWork;
  if (dane.probe_base != base) {
    dane.probe_base = base;
    dane.probe.reset();
  }
  if (asked < base) {
    return;
  }
  if (!dane.probe) {
    dane.probe = clock_.steady();
  }
  if (asked < *dane.probe + kWork) {
    return;
  }
  if (dane_only != world_.dane_applies(number)) {
    violated(number, dane_only ? "dane-only though DANE has ceased to apply"
                               : "what is published of DANE is not known");
  }
  ++bites_.dane_current;
}

// --- refreshing -------------------------------------------------------------------------------

void Model::audit(const std::function<cache::EntryPtr(std::size_t)>& stored) {
  for (std::size_t number = 0; number < domains_.size(); ++number) {
    check_fetch_made(number);
    check_refreshed(number);
    check_alarm(number, stored(number));
  }
}

void Model::check_fetch_made(std::size_t number) {
  const auto& owed = domains_[number].fetch_owed;
  if (owed && clock_.steady() > *owed + kWork) {
    violated(number, "a new id is not fetched");
  }
}

// RFC 8461 section 10.2.
void Model::check_refreshed(std::size_t number) {
  const Domain& domain = domains_[number];
  const Known& known = domain.now;
  const SteadyTime since =
      std::max({undisturbed_since(number), domain.came_back, put_off_until(domain)});
  if (!surely_alive(known) || known.policy->max_age < kLeastRefreshed ||
      !world_.publishes(number) || !in_use(domain, Seconds(2 * 86400)) ||
      clock_.steady() < since + kMostRetry + kWork) {
    return;
  }
  const Seconds most = std::min<Seconds>(kRefresh, known.policy->max_age / 2);
  if (clock_.wall() > known.fetched_wall + most + kMostRetry + kWork) {
    violated(number, "a policy in use is not refreshed: " + known.policy->match);
  }
  if (known.fetched_wall > clock_.wall()) {
    violated(number, "a policy from the future is not refreshed: " + known.policy->match);
  }
  ++bites_.refreshed;
  bites_.set_right += set_right_lately() ? 1 : 0;
}

// RFC 8461 section 10.2.
void Model::check_alarm(std::size_t number, const cache::EntryPtr& stored) {
  const Domain& domain = domains_[number];
  const Known& known = domain.now;
  const SteadyTime since = std::max({started_, stepped_, domain.came_back, put_off_until(domain)});
  if (!surely_alive(known) || !known.failed || known.policy->none ||
      !in_use(domain, Seconds(2 * 86400)) || clock_.steady() < since + kMostRetry + kWork) {
    return;
  }
  ++bites_.alarms;
  bites_.set_right += set_right_lately() ? 1 : 0;
  if (!stored || !stored->failure || stored->failure->warned_at == WallTime{}) {
    violated(number, "nobody is warned of a refresh that fails");
  } else if (clock_.wall() > stored->failure->warned_at + kAlarm + kMostRetry + kWork) {
    violated(number, "the warning of a refresh that fails is not repeated");
  } else if (clock_.wall() < stored->failure->warned_at) {
    violated(number, "a warning in the future silences the alarm");
  }
}

}  // namespace mtastsd::simulation
