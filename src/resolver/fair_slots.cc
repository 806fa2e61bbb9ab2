#include "fair_slots.h"

#include <algorithm>

namespace mtastsd::resolver {

bool FairSlots::may_take(const std::string& owner) const {
  const auto it = owners_.find(owner);
  const bool is_new = it == owners_.end();
  const std::size_t owners = owners_.size() + (is_new ? 1 : 0);
  return free() > 0 &&
         (is_new ? 0 : it->second.taken) < std::max<std::size_t>(size_ / (owners + 1), 1);
}

void FairSlots::take(const std::string& owner) {
  ++taken_;
  ++owners_[owner].taken;
}

void FairSlots::give_back(const std::string& owner) {
  --taken_;
  const auto it = owners_.find(owner);
  --it->second.taken;
  drop_if_gone(it);
}

void FairSlots::end_to_wait(const std::string& owner) {
  const auto it = owners_.find(owner);
  --it->second.waiting;
  drop_if_gone(it);
}

void FairSlots::drop_if_gone(Owners::iterator owner) {
  if (owner->second.taken + owner->second.waiting == 0) {
    owners_.erase(owner);
  }
}

FairLine::Place FairLine::add(const std::string& owner, const DomainName& domain) {
  const auto [it, is_new] = owners_.try_emplace(owner);
  if (is_new) {
    it->second.turn = turns_.insert(turns_.end(), it->first);
  }
  auto& domains = it->second.domains;
  return domains.insert(domains.end(), &domain);
}

void FairLine::remove(const std::string& owner, Place place) {
  leave(owners_.find(owner), place);
}

const DomainName* FairLine::take_first(FairSlots& slots) {
  if (slots.free() == 0) {
    return nullptr;
  }
  for (const std::string_view name : turns_) {
    const auto owner = owners_.find(std::string(name));
    if (!slots.may_take(owner->first)) {
      continue;
    }
    const auto first = owner->second.domains.begin();
    const DomainName* domain = *first;
    turns_.splice(turns_.end(), turns_, owner->second.turn);
    slots.end_to_wait(owner->first);
    leave(owner, first);
    return domain;
  }
  return nullptr;
}

void FairLine::leave(Owners::iterator owner, Place place) {
  owner->second.domains.erase(place);
  if (owner->second.domains.empty()) {
    turns_.erase(owner->second.turn);
    owners_.erase(owner);
  }
}

void Station::set_size(std::size_t size) {
  slots(Lane::Waited).set_size(std::max<std::size_t>(size, 1));
  slots(Lane::Upkeep).set_size(std::max<std::size_t>(size / 4, 1));
}

FairLine::Place Station::wait(Lane lane, const std::string& owner, const DomainName& domain) {
  slots(lane).begin_to_wait(owner);
  return line(lane).add(owner, domain);
}

void Station::stop_waiting(Lane lane, const std::string& owner, FairLine::Place place) {
  slots(lane).end_to_wait(owner);
  line(lane).remove(owner, place);
}

const DomainName* Station::take_first() {
  for (const Lane lane : {Lane::Waited, Lane::Upkeep, Lane::Idle}) {
    if (const DomainName* domain = line(lane).take_first(slots(lane))) {
      return domain;
    }
  }
  return nullptr;
}

bool Station::unused() const {
  return slots_[0].taken() + slots_[1].taken() == 0 &&
         std::all_of(lines_.begin(), lines_.end(),
                     [](const FairLine& line) { return line.empty(); });
}

}  // namespace mtastsd::resolver
