#include "fair_slots.h"

#include <algorithm>

namespace mtastsd::resolver {

bool FairSlots::may_take(const std::string& owner) const {
  const auto it = by_owner_.find(owner);
  return (it == by_owner_.end() ? 0 : it->second) < free();
}

void FairSlots::take(const std::string& owner) {
  ++taken_;
  ++by_owner_[owner];
}

void FairSlots::give_back(const std::string& owner) {
  --taken_;
  const auto it = by_owner_.find(owner);
  if (--it->second == 0) {
    by_owner_.erase(it);
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

const DomainName* FairLine::take_first(const FairSlots& slots) {
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
