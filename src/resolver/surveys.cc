// Logs DaneWithoutDnssec once for each server, and DaneRuling and DaneLookupFailed within the
// budget of the owner.

#include "surveys.h"

#include <utility>

#include "line_budget.h"
#include "mtastsd/base/owner.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/log/log.h"

namespace mtastsd::resolver {
namespace {

constexpr std::size_t kMaxSurveys = 1024;
constexpr std::size_t kMaxWarnedServers = 32;

}  // namespace

Surveys::Surveys(const Services& services, Counters& counters, LineBudget& line_budget)
    : services_(services), counters_(counters), line_budget_(line_budget) {
  slots_.set_size(kMaxSurveys);
}

NowOrLater<Answer> Surveys::survey(const DomainName& domain, const dane::Target& target,
                                   Waiter waiter) {
  cache::EntryPtr entry = services_.store.find(domain);
  const WallTime now = services_.clock.wall();
  const dane::State* known = entry ? cache::find_dane(*entry, target) : nullptr;
  if (services_.finder == nullptr || !entry || !entry->holds_policy() ||
      (known != nullptr && judge(known->facts, now).survey == dane::Survey::NotNeeded)) {
    return Answer{.entry = std::move(entry)};
  }
  const Key key(domain, target.by_mx, target.port);
  auto it = running_.find(key);
  if (it == running_.end()) {
    const std::string owner = owner_of(domain);
    if (!slots_.may_take(owner)) {
      counters_.overload.add();
      return Answer{.entry = std::move(entry)};
    }
    slots_.take(owner);
    counters_.surveys.add();
    it = running_.emplace(key, Running{.started = services_.clock.steady()}).first;
    it->second.step = services_.finder->find(
        domain, target,
        [this, domain, target](dane::Found found) { on_found(domain, target, found); });
  }
  auto cell = std::make_shared<Waiter>(std::move(waiter));
  it->second.waiters.push_back(cell);
  return Ticket(std::move(cell));
}

void Surveys::on_found(const DomainName& domain, const dane::Target& target,
                       const dane::Found& found) {
  const Running ended =
      std::move(running_.extract(Key(domain, target.by_mx, target.port)).mapped());
  slots_.give_back(owner_of(domain));
  // Read now and not at the start: the survey took its time.
  cache::EntryPtr entry = services_.store.find(domain);
  if (entry) {
    const dane::State* before = cache::find_dane(*entry, target);
    dane::State state = dane::after_survey(before, target, found, services_.clock.wall());
    log(domain, before, state, found,
        std::chrono::duration_cast<Milliseconds>(services_.clock.steady() - ended.started));
    auto changed = std::make_shared<cache::Entry>(*entry);
    cache::set_dane(*changed, std::move(state));
    entry = changed;
    services_.store.put(domain, *changed);
  }
  for (const auto& cell : ended.waiters) {
    if (const Waiter waiter = std::exchange(*cell, nullptr)) {
      waiter(Answer{.entry = entry});
    }
  }
}

void Surveys::log(const DomainName& domain, const dane::State* before, const dane::State& state,
                  const dane::Found& found, Milliseconds took) {
  const dane::Ruling ruling = judge(state.facts, services_.clock.wall()).ruling;
  if (found.mail == dane::Mail::Unknown || ruling == dane::Ruling::Unknown) {
    counters_.survey_failures.add();
    if (ruling == dane::Ruling::Unknown) {
      counters_.dane_unknown.add();
    }
    if (!found.without_dnssec_at.empty()) {
      warn_without_dnssec(found);
    } else if (line_budget_.spend(owner_of(domain), services_.clock.steady())) {
      services_.log.write(Event::DaneLookupFailed, {{"domain", domain.view()},
                                                    {"target", describe(state.target)},
                                                    {"ruling", to_string(ruling)},
                                                    {"reason", found.detail},
                                                    {"took_ms", took.count()}});
    }
    return;
  }
  const bool applied = before != nullptr && before->facts.ruling == dane::Ruling::Applies;
  if (applied != (ruling == dane::Ruling::Applies) &&
      line_budget_.spend(owner_of(domain), services_.clock.steady())) {
    services_.log.write(Event::DaneRuling, {{"domain", domain.view()},
                                            {"target", describe(state.target)},
                                            {"ruling", to_string(ruling)},
                                            {"took_ms", took.count()}});
  }
}

void Surveys::warn_without_dnssec(const dane::Found& found) {
  if (warned_servers_.size() < kMaxWarnedServers &&
      warned_servers_.insert(found.without_dnssec_at).second) {
    services_.log.write(Event::DaneWithoutDnssec,
                        {{"server", found.without_dnssec_at}, {"reason", found.detail}});
  }
}

}  // namespace mtastsd::resolver
