#include "simulation/simulation.h"

#include <filesystem>
#include <utility>

namespace mtastsd::simulation {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

constexpr hours kAuditEvery{5};
constexpr std::size_t kTraceShown = 60;

}  // namespace

Simulation::Simulation(const Plan& plan)
    : plan_(plan),
      random_(plan.seed),
      chance_of_sender_(plan.seed + 1'000'003),
      dane_random_(plan.seed + 2'000'003),
      world_(loop_, random_, dane_random_, trace_, plan.domains),
      log_(plan.log ? Log(LogOptions{LogLevel::Debug, LogFormat::Logfmt, LogTarget::Stderr})
                    : Log::null()),
      sender_(
          loop_, world_.dns, world_.fetcher, log_, [this] { return chance_of_sender_.unit(); },
          [this](std::uint64_t number, std::string_view reply) {
            const auto node = questions_.extract(number);
            const Question& question = node.mapped();
            trace_.add(question.domain, "reply", std::string(reply));
            model_.replied(question.domain, question.asked, reply, question.dane);
          }),
      model_(loop_, world_, trace_, sender_.settings.resolver) {
  sender_.settings.directory = plan_.directory;
  sender_.settings.dane = true;
  sender_.settings.resolver.max_discovering = 64;
  sender_.settings.resolver.max_fetching = 64;
  sender_.settings.resolver.max_fetching_per_host = 16;
  watch();
  plan_first_events();
}

void Simulation::watch() {
  world_.on_txt_asked = [this](std::size_t domain) { model_.asked_txt(domain); };
  world_.on_txt = [this](std::size_t domain, const TxtSeen& seen) { model_.saw_txt(domain, seen); };
  world_.on_fetch_begun = [this](std::size_t domain) { model_.began_fetch(domain); };
  world_.on_fetch = [this](std::size_t domain, const PolicyPtr& policy) {
    model_.fetched(domain, policy);
  };
  world_.on_mx_asked = [this](std::size_t domain) { model_.asked_mx(domain); };
  world_.on_mx = [this](std::size_t domain, DaneSeen seen, std::size_t hosts) {
    model_.saw_mx(domain, seen, hosts);
  };
  world_.on_host_asked = [this](std::size_t domain) { model_.asked_host(domain); };
  world_.on_host = [this](std::size_t domain, std::size_t host, DaneSeen seen) {
    model_.saw_host(domain, host, seen);
  };
  sender_.on_commit = [this] { model_.committed(); };
}

void Simulation::plan_first_events() {
  for (std::size_t domain = 0; domain < plan_.domains; ++domain) {
    // Some that mail always goes to, busy ones, daily ones, some where refreshing has just not
    // stopped, and some where it has.
    const double kind = random_.unit();
    between_mails_.push_back(kind < 0.06   ? Milliseconds(minutes(10))
                             : kind < 0.15 ? hours(4)
                             : kind < 0.7  ? hours(30)
                             : kind < 0.85 ? Milliseconds(days(12))
                                           : Milliseconds(days(50)));
    plan(random_.around(hours(12)), Kind::Mail, domain);
    plan(random_.around(days(9)), Kind::Owner, domain);
    plan(random_.around(days(15)), Kind::DnsFault, domain);
    plan(random_.around(days(15)), Kind::WebFault, domain);
    plan(dane_random_.around(days(9)), Kind::Dane, domain);
    plan(dane_random_.around(days(15)), Kind::DaneFault, domain);
  }
  plan(random_.around(days(20)), Kind::AllFault);
  plan(random_.around(days(3)), Kind::Disk);
  plan(random_.around(days(6)), Kind::Restart);
  plan(random_.around(days(3)), Kind::Kill);
  plan(random_.around(days(25)), Kind::Clock);
  plan(kAuditEvery, Kind::Audit);
}

void Simulation::plan(Milliseconds after, Kind kind, std::size_t domain) {
  events_.push({loop_.steady() + after, ++order_, kind, domain});
}

void Simulation::violated(const std::string& what) {
  if (violation_.empty()) {
    violation_ = what;
    trace_.add(kNoDomain, "VIOLATION", what);
  }
}

Outcome Simulation::run() {
  const SteadyTime begin = loop_.steady();
  const SteadyTime end = begin + days(plan_.days);
  if (const std::string wrong = sender_.start(); !wrong.empty()) {
    violated("it does not start: " + wrong);
  }
  model_.started();
  while (events_.top().at < end && violation_.empty() && model_.violation().empty()) {
    const Event event = events_.top();
    events_.pop();
    if (event.at > loop_.steady()) {
      loop_.advance(std::chrono::ceil<Milliseconds>(event.at - loop_.steady()));
    }
    handle(event);
  }
  outcome_.days = std::chrono::ceil<days>(loop_.steady() - begin).count();
  return finish();
}

Outcome Simulation::finish() {
  sender_.kill();
  outcome_.bites = model_.bites();
  std::size_t domain = kNoDomain;
  if (violation_.empty()) {
    violation_ = model_.violation();
    domain = model_.violator();
  }
  if (!violation_.empty()) {
    outcome_.good = false;
    outcome_.report = "violated: " + violation_ + "\n";
    if (domain != kNoDomain) {
      outcome_.report += "domain: " + world_.name(domain).str() + "\n";
    }
    outcome_.report += trace_.about(domain, kTraceShown);
  }
  return outcome_;
}

void Simulation::handle(const Event& event) {
  switch (event.kind) {
    case Kind::Mail:
      send_mail(event.domain);
      break;
    case Kind::Owner:
      world_.owner_acts(event.domain);
      plan(random_.around(days(9)), Kind::Owner, event.domain);
      break;
    case Kind::DnsFault:
      world_.dns_breaks(event.domain);
      plan(random_.around(days(15)), Kind::DnsFault, event.domain);
      break;
    case Kind::WebFault:
      world_.web_breaks(event.domain);
      plan(random_.around(days(15)), Kind::WebFault, event.domain);
      break;
    case Kind::AllFault:
      world_.all_breaks();
      plan(random_.around(days(20)), Kind::AllFault);
      break;
    case Kind::Disk:
      change_disk();
      plan(random_.around(days(3)), Kind::Disk);
      break;
    case Kind::Restart:
      down(true);
      plan(random_.around(days(6)), Kind::Restart);
      break;
    case Kind::Kill:
      down(false);
      plan(random_.around(days(3)), Kind::Kill);
      break;
    case Kind::Clock:
      step_clock();
      break;
    case Kind::Dane:
      world_.dane_owner_acts(event.domain);
      plan(dane_random_.around(days(9)), Kind::Dane, event.domain);
      break;
    case Kind::DaneFault:
      world_.dane_breaks(event.domain);
      plan(dane_random_.around(days(15)), Kind::DaneFault, event.domain);
      break;
    case Kind::Audit:
      audit();
      plan(kAuditEvery, Kind::Audit);
      break;
  }
}

// --- mail -------------------------------------------------------------------------------------

void Simulation::ask(std::size_t domain) {
  if (!violation_.empty() || !model_.violation().empty()) {
    return;
  }
  const std::uint64_t number = next_question_++;
  const bool dane = dane_random_.chance(0.5);
  questions_.emplace(number, Question{domain, loop_.steady(), dane});
  ++outcome_.questions;
  model_.questioned(domain);
  sender_.request((dane ? "dane " : "postfix ") + world_.name(domain).str(), number);
}

// One message: a question for each of its MX hosts, and again at the retries if it is deferred.
// Some look at the very end of a policy's life.
void Simulation::send_mail(std::size_t domain) {
  ask(domain);
  const double more = random_.unit();
  if (more < 0.3) {
    ask(domain);
  }
  Milliseconds next = random_.around(between_mails_[domain]);
  if (more > 0.55) {
    next = random_.one_of<Milliseconds>({Milliseconds(100), Milliseconds(100), Milliseconds(400),
                                         Seconds(1), Seconds(3), Seconds(11), Seconds(61),
                                         minutes(5), minutes(20), minutes(70)});
  }
  plan(next, Kind::Mail, domain);
}

// --- what befalls the sender ------------------------------------------------------------------

void Simulation::down(bool in_order) {
  trace_.add(kNoDomain, in_order ? "restart" : "kill");
  if (in_order) {
    model_.about_to_stop();
    sender_.stop();
  } else {
    sender_.kill();
    ++outcome_.kills;
    model_.killed();
  }
  questions_.clear();
  const double how_long = random_.unit();
  loop_.advance(how_long < 0.6   ? Milliseconds(1500)
                : how_long < 0.9 ? random_.around(minutes(5))
                                 : random_.around(hours(20)));
  if (const std::string wrong = sender_.start(); !wrong.empty()) {
    violated("it does not start again: " + wrong);
  }
  trace_.add(kNoDomain, "start");
  model_.started();
}

// Mostly the disk is quick; now and then a commit takes its time.
void Simulation::change_disk() {
  sender_.commit_after = random_.chance(0.8) ? Milliseconds(static_cast<int>(random_.below(1000)))
                                             : random_.around(minutes(10));
}

// The clock goes wrong, and some time later right again.
void Simulation::step_clock() {
  Seconds by = -clock_is_off_;
  if (clock_is_off_ == Seconds(0)) {
    by =
        random_.one_of<Seconds>({Seconds(30), minutes(10), hours(1), hours(26), days(3), days(40)});
    if (random_.chance(0.5)) {
      by = -by;
    }
  }
  clock_is_off_ += by;
  ++outcome_.clock_steps;
  trace_.add(kNoDomain, "clock steps", std::to_string(by.count()));
  model_.clock_about_to_step();
  loop_.set_wall(loop_.wall() + by);
  model_.clock_stepped(by);
  plan(clock_is_off_ == Seconds(0) ? random_.around(days(25)) : random_.around(days(2)),
       Kind::Clock);
}

// --- what no answer shows ---------------------------------------------------------------------

void Simulation::audit() {
  model_.audit([this](std::size_t domain) { return sender_.store().find(world_.name(domain)); });
  check_bounds();
}

void Simulation::check_bounds() {
  for (const auto& [number, question] : questions_) {
    if (loop_.steady() > question.asked + sender_.settings.answer_timeout) {
      violated("a question is never answered");
    }
  }
  if (sender_.resolver().domains_at_work() > plan_.domains ||
      loop_.armed_count() > 100 + 4 * plan_.domains) {
    violated("work piles up");
  }
  std::error_code ignored;
  outcome_.file_bytes = std::filesystem::file_size(plan_.directory + "/data.mdb", ignored);
  if (outcome_.file_bytes > (std::size_t{2} << 20) + plan_.domains * 16384) {
    violated("the cache file grows: " + std::to_string(outcome_.file_bytes));
  }
}

}  // namespace mtastsd::simulation
