#include "work_queue.h"

#include <utility>

#include "mtastsd/base/owner.h"

namespace mtastsd::resolver {
namespace {

// Refreshes that wait, for each one that can be under way: enough that there is always a next one,
// and few, because they wait in the order in which they were taken.
constexpr std::size_t kRefreshesPerSlot = 2;

bool is_half_taken(const FairSlots& slots) {
  return slots.taken() * 2 > slots.size();
}

}  // namespace

void WorkQueue::set_slots(const Slots& slots) {
  sizes_ = slots;
  room_.set_size(slots.domains);
  station(Stage::Record).set_size(slots.record);
  station(Stage::Addresses).set_size(slots.addresses);
  station(Stage::Policy).set_size(slots.policy);
  refreshes_.set_size(kRefreshesPerSlot * station(Stage::Policy).slots(Lane::Upkeep).size());
  for (auto& [address, host] : hosts_) {
    host.set_size(slots.per_host);
  }
}

bool WorkQueue::add(const DomainName& domain, Lane lane) {
  std::string owner = owner_of(domain);
  FairSlots& room = room_.slots(lane);
  if (!room.may_take(owner)) {
    return false;
  }
  room.take(owner);
  wait(*jobs_.emplace(domain, Job{.owner = std::move(owner), .lane = lane}).first, false);
  return true;
}

bool WorkQueue::may_refresh(const DomainName& domain) const {
  return refreshes_.may_take(owner_of(domain));
}

void WorkQueue::add_refresh(const DomainName& domain) {
  Job& job = jobs_.at(domain);
  if (!std::exchange(job.refreshes, true)) {
    refreshes_.take(job.owner);
  }
}

void WorkQueue::move(const DomainName& domain, Lane lane) {
  Jobs::value_type& entry = *jobs_.find(domain);
  Job& job = entry.second;
  if (job.lane == lane) {
    return;
  }
  if (!job.waits) {
    job.lane = lane;
    return;
  }
  stop_waiting(job);
  job.lane = lane;
  // The other lane may have other slots: no host that has a free one for it may be waited for.
  const bool for_host = job.waits_for_host && !hosts_.at(*job.host).slots(lane).may_take(job.owner);
  wait(entry, for_host);
}

std::optional<DomainName> WorkQueue::next(Stage stage) {
  const DomainName* domain = station(stage).take_first();
  if (domain == nullptr) {
    return std::nullopt;
  }
  Job& job = jobs_.at(*domain);
  job.waits = false;
  job.slot_lane = job.lane;
  station(stage).slots(job.slot_lane).take(job.owner);
  return *domain;
}

void WorkQueue::advance(const DomainName& domain) {
  Jobs::value_type& entry = *jobs_.find(domain);
  Job& job = entry.second;
  give_slot_back(job);
  job.stage = job.stage == Stage::Record ? Stage::Addresses : Stage::Policy;
  wait(entry, false);
}

bool WorkQueue::claim_host(const DomainName& domain, const IpAddress& address) {
  Jobs::value_type& entry = *jobs_.find(domain);
  Job& job = entry.second;
  job.host = address.host_network();
  const auto [it, is_new] = hosts_.try_emplace(*job.host);
  Station& host = it->second;
  if (is_new) {
    host.set_size(sizes_.per_host);
  }
  FairSlots& slots = host.slots(job.lane);
  if (slots.may_take(job.owner)) {
    slots.take(job.owner);
    job.host_lane = job.lane;
    job.has_host = true;
    return true;
  }
  give_slot_back(job);
  wait(entry, true);
  return false;
}

void WorkQueue::finish(const DomainName& domain) {
  const auto node = jobs_.extract(domain);
  Job& job = node.mapped();
  give_slot_back(job);
  room_.slots(job.added_in).give_back(job.owner);
  if (job.refreshes) {
    refreshes_.give_back(job.owner);
  }
  give_host_back(job);
}

void WorkQueue::leave_host(const DomainName& domain) {
  give_host_back(jobs_.at(domain));
}

void WorkQueue::give_host_back(Job& job) {
  if (job.has_host) {
    job.has_host = false;
    hosts_.at(*job.host).slots(job.host_lane).give_back(job.owner);
    let_try_again(*job.host);
  }
}

std::array<Resolver::StageLoad, WorkQueue::kStages> WorkQueue::load() const {
  std::array<Resolver::StageLoad, kStages> load;
  for (const auto& [domain, job] : jobs_) {
    Resolver::StageLoad& stage = load[static_cast<std::size_t>(job.stage)];
    ++(job.waits ? stage.waiting : stage.at_work);
  }
  return load;
}

bool WorkQueue::under_pressure() const {
  return is_half_taken(stages_[static_cast<std::size_t>(Stage::Policy)].slots(Lane::Waited));
}

bool WorkQueue::under_pressure(const IpAddress& host) const {
  const auto it = hosts_.find(host.host_network());
  return it != hosts_.end() && is_half_taken(it->second.slots(Lane::Waited));
}

// Where a slot has become free, one of those that wait for this host may ask for it.
void WorkQueue::let_try_again(const IpAddress& host) {
  const auto it = hosts_.find(host);
  if (const DomainName* domain = it->second.take_first()) {
    wait(*jobs_.find(*domain), false);
  }
  if (it->second.unused()) {
    hosts_.erase(it);
  }
}

Station& WorkQueue::waiting_at(const Job& job) {
  return job.waits_for_host ? hosts_.at(*job.host) : station(job.stage);
}

void WorkQueue::wait(Jobs::value_type& entry, bool for_host) {
  auto& [domain, job] = entry;
  job.waits = true;
  job.waits_for_host = for_host;
  job.place = waiting_at(job).wait(job.lane, job.owner, domain);
}

void WorkQueue::stop_waiting(Job& job) {
  waiting_at(job).stop_waiting(job.lane, job.owner, job.place);
  job.waits = false;
}

void WorkQueue::give_slot_back(Job& job) {
  station(job.stage).slots(job.slot_lane).give_back(job.owner);
}

}  // namespace mtastsd::resolver
