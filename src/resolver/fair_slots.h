#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <string>
#include <string_view>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/keyed_hash.h"

namespace mtastsd::resolver {

// A number of slots that owners share. Of n owners who have one or wait for one, each may have one
// part of n + 1, or one slot where that is less. So one owner alone gets half of them, two get a
// third each, and as long as there are fewer owners than slots there is one left for a newcomer.
class FairSlots {
 public:
  // Holds for what is taken from now on.
  void set_size(std::size_t size) { size_ = size; }
  std::size_t size() const { return size_; }
  std::size_t taken() const { return taken_; }
  std::size_t free() const { return size_ > taken_ ? size_ - taken_ : 0; }

  bool may_take(const std::string& owner) const;
  void take(const std::string& owner);
  void give_back(const std::string& owner);

  // The owner waits for one slot more, or for one less.
  void begin_to_wait(const std::string& owner) { ++owners_[owner].waiting; }
  void end_to_wait(const std::string& owner);

 private:
  struct Owner {
    std::size_t taken = 0;
    std::size_t waiting = 0;
  };
  using Owners = MapByName<Owner>;

  void drop_if_gone(Owners::iterator owner);

  std::size_t size_ = 0;
  std::size_t taken_ = 0;
  Owners owners_;  // those who have one or wait for one
};

// Domains that wait, first come first served within an owner; the owners take turns. Their order is
// kept in lists, so that each operation takes a time that does not grow with the number that waits.
class FairLine {
 public:
  using Place = std::list<const DomainName*>::iterator;

  // The caller keeps `domain` where it is until it has left the line.
  Place add(const std::string& owner, const DomainName& domain);
  void remove(const std::string& owner, Place place);

  // Takes the first domain of the first owner that may take a slot; nullptr: there is none. It
  // looks past the owners that may not, of whom there are at most as many as slots are taken.
  const DomainName* take_first(FairSlots& slots);

  bool empty() const { return turns_.empty(); }

 private:
  struct Owner {
    std::list<const DomainName*> domains;
    std::list<std::string_view>::iterator turn;
  };
  using Owners = MapByName<Owner>;

  void leave(Owners::iterator owner, Place place);

  Owners owners_;                      // of the domains that wait
  std::list<std::string_view> turns_;  // the keys of owners_, the next one first
};

// What a domain waits for.
enum class Lane {
  Waited,  // somebody waits for the answer
  Upkeep,  // a policy in use is kept current: it has slots of its own
  Idle,    // nobody waits any more; it is served when nobody else is
};
inline constexpr std::size_t kLanes = 3;

// A stage of the work, or a policy host: slots, and a line for each lane.
class Station {
 public:
  // `size` slots for Waited and Idle, and a quarter as many again, at least one, for Upkeep.
  void set_size(std::size_t size);

  FairSlots& slots(Lane lane) { return slots_[lane == Lane::Upkeep ? 1 : 0]; }
  const FairSlots& slots(Lane lane) const { return slots_[lane == Lane::Upkeep ? 1 : 0]; }

  FairLine::Place wait(Lane lane, const std::string& owner, const DomainName& domain);
  void stop_waiting(Lane lane, const std::string& owner, FairLine::Place place);
  // Takes the next domain out of its line. It gets no slot by this.
  const DomainName* take_first();
  // Nobody has a slot, and nobody waits.
  bool unused() const;

 private:
  FairLine& line(Lane lane) { return lines_[static_cast<std::size_t>(lane)]; }

  std::array<FairSlots, 2> slots_;
  std::array<FairLine, kLanes> lines_;
};

}  // namespace mtastsd::resolver
