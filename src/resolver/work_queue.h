#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <unordered_map>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/ip_address.h"

namespace mtastsd::resolver {

// Decides which domain is worked on next. Bookkeeping only: it starts nothing and knows neither
// DNS nor HTTPS.
//
// A domain goes through two stages, each with a bounded number of slots: first its TXT record is
// looked up, then, where that calls for it, its policy is fetched. It waits in the urgent lane when
// somebody waits for it, else in the background lane, which is served when the urgent one is empty.
//
// While its policy is fetched it also needs one of the slots of its policy host (the per-host
// limit): many domains have their policies at the same provider, and a host that answers nobody
// must not take the slots of all. A domain that has to wait for its host gives its slot of the
// stage back, and gets in line for another one when the host has room. A host is an IPv4 address or
// an IPv6 /64.
class WorkQueue {
 public:
  enum class Stage { Record, Policy };
  enum class Lane { Background, Urgent };
  enum class Claim { Granted, Waits, Refused };

  struct Slots {
    std::size_t record = 256;
    std::size_t policy = 256;
    std::size_t per_host = 64;  // at least 1 is given
  };

  explicit WorkQueue(const Slots& slots) : slots_(slots) {}

  // Holds for what begins from now on.
  void set_slots(const Slots& slots) { slots_ = slots; }

  // Adds a domain that is not in the queue. It waits for a slot of Stage::Record in the background.
  void add(const DomainName& domain);

  // Moves a domain to the urgent lane, wherever it is.
  void raise(const DomainName& domain);

  // Gives a free slot of the stage to the next domain in line, which is returned.
  std::optional<DomainName> next(Stage stage);

  // The record has been looked up: the domain gives its slot back and waits for one of
  // Stage::Policy.
  void advance(const DomainName& domain);

  // Asks for a slot of the host at `address`, for a domain with a slot of Stage::Policy. Waits: it
  // has lost that slot, and next(Stage::Policy) will return it again once it has both. Refused: too
  // many are waiting for this host.
  Claim claim_host(const DomainName& domain, const IpAddress& address);

  // Removes a domain that has a slot, and gives all it has to others.
  void finish(const DomainName& domain);

  std::size_t size() const { return jobs_.size(); }

 private:
  using Line = std::list<const DomainName*>;  // the keys of jobs_
  using Lanes = std::array<Line, 2>;

  enum class State { WaitsForRecord, HasRecord, WaitsForPolicy, HasPolicy, WaitsForHost };

  struct Job {
    State state = State::WaitsForRecord;
    Lane lane = Lane::Background;
    std::optional<IpAddress> host;  // whose slot it has or waits for
    Line::iterator place;           // while it waits
  };

  struct Host {
    std::size_t taken = 0;
    Lanes waiting;
  };

  struct StageState {
    std::size_t taken = 0;
    Lanes waiting;
  };

  using Jobs = std::unordered_map<DomainName, Job>;

  StageState& stage(Stage which) { return stages_[static_cast<std::size_t>(which)]; }
  Lanes* lanes_of(const Job& job);
  void wait(Jobs::value_type& job, State state);
  static const DomainName* take_first(Lanes& lanes);
  void release_host(const IpAddress& address);

  Slots slots_;
  Jobs jobs_;
  std::array<StageState, 2> stages_;
  std::map<IpAddress, Host> hosts_;
};

}  // namespace mtastsd::resolver
