#include "pending.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace mtastsd::cache {
namespace {

constexpr std::size_t kDroppedAtOnce = 100;  // "no policy" results, where more have to wait

bool is_negative(const Change& change) {
  return change.entry != nullptr && !change.entry->policy;
}

std::size_t bytes_of(const Change& change) {
  return sizeof(DomainName) + sizeof(Change) + (change.entry ? memory_of(*change.entry) : 0);
}

// Of a policy that is in force and of "no policy", the policy; else the newer.
bool salvaged_counts_more(const Entry& salvaged, const EntryFacts& other) {
  const bool has_policy = salvaged.policy.has_value();
  return has_policy == other.has_policy ? salvaged.txt_checked_at > other.txt_checked_at
                                        : has_policy;
}

bool blind_counts_more(const Entry& blind, const EntryFacts& other) {
  return blind.policy || !other.has_policy || other.expires_at() <= blind.txt_checked_at;
}

// Of two changes of one domain that wait. What was erased stays so, but for what is newer.
bool supersedes(const Change& change, const Change& before) {
  switch (change.origin) {
    case Origin::Resolver:
      return true;
    case Origin::Blind:
      return !change.entry || !before.entry ||
             blind_counts_more(*change.entry, facts_of(*before.entry));
    case Origin::Salvaged:
      // Anything that is not salvaged is newer, but "no policy" found out without the file.
      return before.entry && (before.origin == Origin::Salvaged || !before.entry->policy) &&
             salvaged_counts_more(*change.entry, facts_of(*before.entry));
  }
  return true;
}

}  // namespace

bool replaces(const Change& change, const EntryFacts& committed) {
  switch (change.origin) {
    case Origin::Resolver:
      return true;
    case Origin::Blind:
      return !change.entry || blind_counts_more(*change.entry, committed);
    case Origin::Salvaged:
      return salvaged_counts_more(*change.entry, committed);
  }
  return true;
}

std::optional<Change> Pending::find(const DomainName& domain) const {
  if (!versions_.may_wait(Versions::slot_of(domain))) {
    return std::nullopt;
  }
  const std::lock_guard lock(mutex_);
  const auto it = changes_.find(domain);
  return it == changes_.end() ? std::nullopt : std::optional(it->second);
}

bool Pending::put(const DomainName& domain, EntryPtr entry, Origin origin) {
  const std::lock_guard lock(mutex_);
  Change change{std::move(entry), origin, ++sequence_};
  auto before = changes_.extract(domain);
  if (before) {
    discount(before.mapped());
  }
  const bool stays = before && !supersedes(change, before.mapped());
  const bool fits_in = stays || make_room(bytes_of(change));
  if (before && (stays || !fits_in)) {
    count(before.mapped());
    changes_.insert(std::move(before));
    return stays;
  }
  if (!fits_in) {
    return false;
  }
  // A change is in place before its version says so: see Versions.
  count(change);
  changes_.emplace(domain, std::move(change));
  const Versions::Slot slot = Versions::slot_of(domain);
  before ? versions_.change(slot) : versions_.add(slot);
  return true;
}

bool Pending::fits(std::size_t bytes) const {
  return changes_.size() < max_changes_ && bytes_ + bytes <= max_bytes_;
}

bool Pending::make_room(std::size_t bytes) {
  if (!fits(bytes) && negatives_ > 0) {
    drop_negatives(bytes);
  }
  return fits(bytes);
}

// In one go, so that not each change that comes has to look for a victim.
void Pending::drop_negatives(std::size_t bytes) {
  std::size_t dropped = 0;
  for (auto it = changes_.begin();
       it != changes_.end() && (dropped < kDroppedAtOnce || !fits(bytes));) {
    if (!is_negative(it->second)) {
      ++it;
      continue;
    }
    discount(it->second);
    const Versions::Slot slot = Versions::slot_of(it->first);
    it = changes_.erase(it);
    versions_.dropped(slot);
    ++dropped;
  }
}

void Pending::count(const Change& change) {
  bytes_ += bytes_of(change);
  negatives_ += is_negative(change) ? 1 : 0;
  salvaged_ += change.origin == Origin::Salvaged ? 1 : 0;
}

void Pending::discount(const Change& change) {
  bytes_ -= bytes_of(change);
  negatives_ -= is_negative(change) ? 1 : 0;
  salvaged_ -= change.origin == Origin::Salvaged ? 1 : 0;
}

std::vector<Pending::Item> Pending::batch(std::size_t most, std::size_t bytes) const {
  std::vector<Item> items;
  const std::lock_guard lock(mutex_);
  items.reserve(std::min(changes_.size(), most));
  std::size_t taken = 0;
  for (const auto& [domain, change] : changes_) {
    if (items.size() == most || taken > bytes) {
      break;
    }
    taken += bytes_of(change);
    items.push_back({domain, change});
  }
  return items;
}

std::vector<Pending::Item> Pending::behind(std::string_view after) const {
  std::vector<Item> items;
  const std::lock_guard lock(mutex_);
  for (auto it = changes_.upper_bound(after); it != changes_.end(); ++it) {
    items.push_back({it->first, it->second});
  }
  return items;
}

void Pending::committed(const Item& item, bool skipped) {
  const std::lock_guard lock(mutex_);
  const auto it = changes_.find(item.domain);
  if (it == changes_.end() || it->second.sequence != item.change.sequence) {
    return;
  }
  discount(it->second);
  changes_.erase(it);
  const Versions::Slot slot = Versions::slot_of(item.domain);
  skipped ? versions_.dropped(slot) : versions_.committed(slot);
}

void Pending::each(const std::function<void(const DomainName&, const Change&)>& visit) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [domain, change] : changes_) {
    visit(domain, change);
  }
}

std::size_t Pending::size() const {
  const std::lock_guard lock(mutex_);
  return changes_.size();
}

std::size_t Pending::salvaged() const {
  const std::lock_guard lock(mutex_);
  return salvaged_;
}

std::size_t Pending::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

bool Pending::has_room() const {
  const std::lock_guard lock(mutex_);
  return changes_.size() < max_changes_ / 2 && bytes_ < max_bytes_ / 2;
}

bool Pending::has_room_to_refresh() const {
  const std::lock_guard lock(mutex_);
  return changes_.size() - negatives_ <= max_changes_ - max_changes_ / 10 &&
         bytes_ <= max_bytes_ - max_bytes_ / 10;
}

}  // namespace mtastsd::cache
