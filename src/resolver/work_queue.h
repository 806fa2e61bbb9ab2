#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "fair_slots.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::resolver {

// Decides which domain is worked on next. Bookkeeping only: it starts nothing and knows neither
// DNS nor HTTPS.
//
// A domain goes through stages, each with a bounded number of slots: its TXT record is looked up,
// then, where that calls for it, the addresses of its policy host, then its policy is fetched. For
// that it also needs one of the slots of its policy host, because many domains have their policies
// at the same provider, and a host that answers nobody must not take the slots of all. A host is an
// IPv4 address or an IPv6 /64.
//
// Everywhere the owners of domains, which are their registrable domains, take turns, and none of
// them has more than a share of the slots (FairSlots). So no owner, however many subdomains it has
// mail sent to, keeps the others waiting.
class WorkQueue {
 public:
  enum class Stage { Record, Addresses, Policy };
  static constexpr std::size_t kStages = 3;

  struct Slots {
    std::size_t record = 2048;
    std::size_t addresses = 512;
    std::size_t policy = 256;
    std::size_t per_host = 64;
    std::size_t domains = 20000;  // in the queue, in all
  };

  explicit WorkQueue(const Slots& slots) { set_slots(slots); }

  // Holds for what begins from now on.
  void set_slots(const Slots& slots);

  // Adds a domain that is not in the queue. It waits for a slot of Stage::Record. False: there is
  // no room for one more of its owner.
  [[nodiscard]] bool add(const DomainName& domain, Lane lane);

  // Whether the owner of the domain may have one more refresh among those that are under way or
  // wait, and the number of slots for refreshes. add_refresh() counts a domain in the queue as one.
  bool may_refresh(const DomainName& domain) const;
  std::size_t room_to_refresh() const { return refreshes_.free(); }
  void add_refresh(const DomainName& domain);

  // Moves a domain to another lane, wherever it is.
  void move(const DomainName& domain, Lane lane);

  // Gives a free slot of the stage to the next domain in line, which is returned.
  std::optional<DomainName> next(Stage stage);

  // The domain gives its slot back and waits for one of the next stage.
  void advance(const DomainName& domain);

  // Asks for a slot of the host at `address`, for a domain with a slot of Stage::Policy. False: it
  // has lost that slot, and next(Stage::Policy) will return it again when it may ask once more.
  [[nodiscard]] bool claim_host(const DomainName& domain, const IpAddress& address);

  // Gives the slot of its host back. The domain keeps that of Stage::Policy, and claims another
  // host.
  void leave_host(const DomainName& domain);

  // Removes a domain that has a slot, and gives all it has to others.
  void finish(const DomainName& domain);

  // More than half of the slots for policies are taken, or of those of the host.
  bool under_pressure() const;
  bool under_pressure(const IpAddress& host) const;

  std::size_t size() const { return jobs_.size(); }

  // For each stage; without the number of places. Looks at each domain.
  std::array<Resolver::StageLoad, kStages> load() const;

 private:
  struct Job {
    std::string owner;
    Lane lane;
    Stage stage = Stage::Record;
    bool waits = false;
    bool waits_for_host = false;    // else for its stage
    bool refreshes = false;         // counted in refreshes_
    Lane added_in = lane;           // whose room it takes
    Lane slot_lane = lane;          // whose slots it took at its stage
    Lane host_lane = lane;          // and at its host
    bool has_host = false;          // a slot of it
    std::optional<IpAddress> host;  // that it has a slot of, or waits for
    FairLine::Place place;          // while it waits
  };
  using Jobs = std::unordered_map<DomainName, Job>;

  Station& station(Stage stage) { return stages_[static_cast<std::size_t>(stage)]; }
  Station& waiting_at(const Job& job);
  void wait(Jobs::value_type& job, bool for_host);
  void stop_waiting(Job& job);
  void give_slot_back(Job& job);
  void give_host_back(Job& job);
  void let_try_again(const IpAddress& host);

  Slots sizes_;
  Jobs jobs_;
  Station room_;  // for domains, whether they wait or are worked on
  FairSlots refreshes_;
  std::array<Station, kStages> stages_;
  std::map<IpAddress, Station> hosts_;  // those that are not unused()
};

}  // namespace mtastsd::resolver
