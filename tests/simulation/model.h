#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/cache/entry.h"
#include "mtastsd/resolver/resolver.h"
#include "simulation/trace.h"
#include "simulation/world.h"

namespace mtastsd::simulation {

// RFC 8461 as a referee: it sees what reaches the sender and what the sender answers, knows what
// is true, and says what must not be. It shares no code with the resolver, and demands bounds,
// not moments: when within them the sender acts is its own affair.
//
// Time: a policy's life is counted on the wall clock, as the sender must count it over restarts.
// How long something takes is counted in steady time.
class Model {
 public:
  Model(const Clock& clock, const World& world, Trace& trace, const resolver::Options& options);

  // What happens to the sender.
  void started();
  void about_to_stop();
  void killed();     // what was not committed is lost
  void committed();  // all of it
  void clock_about_to_step();
  void clock_stepped(Seconds by);

  // What the sender does and sees.
  void asked_txt(std::size_t domain);
  void saw_txt(std::size_t domain, const TxtSeen& seen);
  void began_fetch(std::size_t domain);
  void fetched(std::size_t domain, const PolicyPtr& policy);

  // Of DANE. An MX lookup begins a survey of the domain.
  void asked_mx(std::size_t domain);
  void saw_mx(std::size_t domain, DaneSeen seen, std::size_t hosts);
  void asked_host(std::size_t domain);
  void saw_host(std::size_t domain, std::size_t host, DaneSeen seen);

  // What it is asked and answers; `dane`: by a Postfix that does DANE.
  void questioned(std::size_t domain);
  void replied(std::size_t domain, SteadyTime asked, std::string_view reply, bool dane);

  // The refresher and the alarm, which no answer shows.
  void audit(const std::function<cache::EntryPtr(std::size_t)>& stored);

  // What was violated first, if anything was.
  const std::string& violation() const { return violation_; }
  std::size_t violator() const { return violator_; }

  // How often a rule had something to say: a check that never bites proves nothing.
  struct Bites {
    std::uint64_t enforced = 0;       // answers from an unexpired enforce policy
    std::uint64_t enforced_dark = 0;  // of those, while DNS or HTTPS did not work
    std::uint64_t without = 0;        // no valid policy
    std::uint64_t fresh = 0;          // fetched while the question waited
    std::uint64_t up_to_date = 0;     // a change had to be applied
    std::uint64_t refreshed = 0;      // a policy had to have been refreshed
    std::uint64_t alarms = 0;         // the operator had to have been warned
    std::uint64_t set_right = 0;      // of the two before: within days of a clock set back
    std::uint64_t fetches = 0;
    std::uint64_t surveys = 0;
    std::uint64_t dane = 0;          // DANE was known to apply
    std::uint64_t dane_dark = 0;     // of those, while it could not be asked for
    std::uint64_t no_dane = 0;       // it was known not to
    std::uint64_t dane_current = 0;  // the owner's latest had to be known
  };
  const Bites& bites() const { return bites_; }

 private:
  // What a sender that does what the RFC says knows about a domain, in memory or on disk.
  struct Failed {
    std::string id;
    SteadyTime at;
  };
  struct Known {
    PolicyPtr policy;
    std::string id;
    WallTime fetched_wall{};
    SteadyTime fetched{};
    WallTime sure_until{};  // it has to be applied so long at least
    bool lapsed = false;    // it was expired once: a clock set back need not bring it back
    std::optional<Failed> failed;
  };
  // What the sender has seen of a domain's DANE. What the referee cannot be sure that the sender
  // has stored, it may know or not.
  struct Dane {
    enum class Known { Perhaps, Applies, DoesNot } known = Known::Perhaps;
    SteadyTime known_at{};
    SteadyTime last_usable{};

    // The survey under way, and the last that was.
    SteadyTime asked{};
    SteadyTime last_event{};
    std::size_t outstanding = 0;
    bool to_conclude = false;
    DaneSeen mx = DaneSeen::Failed;
    std::size_t hosts = 0;
    struct Host {
      DaneSeen seen = DaneSeen::Failed;
      bool was_good = false;  // once, and it still counts
      bool was_usable = false;
      SteadyTime good_at{};
    };
    std::array<Host, kMailHosts> host{};

    // As Domain::probe.
    SteadyTime probe_base{};
    std::optional<SteadyTime> probe;
  };
  struct Domain {
    Dane dane;
    Known now;
    Known on_disk;
    bool dirty = false;

    TxtSeen txt;
    std::optional<SteadyTime> fetch_owed;  // since a lookup that asks for one
    bool txt_unsteady = false;             // another id than the time before
    std::array<SteadyTime, 4> lookups{};   // the last, the oldest first
    SteadyTime good_fetch{};               // the last, whether or not it was committed
    std::string failed_id;
    bool was_questioned = false;
    WallTime questioned_wall{};
    SteadyTime came_back{};         // first question after it was idle
    SteadyTime asked_since_back{};  // first question after the clock was set back

    // The first question after which the sender has to be up to date.
    SteadyTime probe_base{};
    std::optional<SteadyTime> probe;
  };

  bool alive(const Known& known) const;
  // Whether its policy may have been in force at some time from `since` on.
  bool may_apply(const Known& known, SteadyTime since) const;
  bool surely_alive(const Known& known) const;
  SteadyTime undisturbed_since(std::size_t domain) const;
  void probe(std::size_t domain);
  void check_cached(std::size_t domain, SteadyTime asked, std::string_view reply);
  void check_current(std::size_t domain, SteadyTime asked, std::string_view reply);
  void check_fetch_made(std::size_t domain);
  void check_refreshed(std::size_t domain);
  void check_alarm(std::size_t domain, const cache::EntryPtr& stored);
  void check_fetch_allowed(std::size_t domain);
  SteadyTime put_off_until(const Domain& domain) const;
  bool set_right_lately() const;
  bool in_use(const Domain& domain, Seconds margin) const;
  void dane_event(std::size_t domain);
  void conclude(Dane& dane);
  void forget_dane(Dane& dane);
  void cut_survey_off(Dane& dane);
  void check_dane(std::size_t domain, bool dane_only);
  void check_dane_current(std::size_t domain, SteadyTime asked, bool dane_only);
  std::optional<std::string> match_in(std::size_t domain, std::string_view reply) const;
  void violated(std::size_t domain, const std::string& what);

  const Clock& clock_;
  const World& world_;
  Trace& trace_;
  const resolver::Options& options_;
  std::vector<Domain> domains_;
  std::vector<std::size_t> dirty_;
  struct Use {
    std::size_t number;
    WallTime before;  // the question before this one
    SteadyTime asked_since_back;
    SteadyTime at;
  };
  void take_back(const Use& use);
  std::vector<Use> uncommitted_uses_;  // a kill loses them
  SteadyTime started_{};
  SteadyTime committed_{};
  SteadyTime stepped_{};
  Seconds last_step_{};
  SteadyTime stepped_back_{};
  Bites bites_;
  std::string violation_;
  std::size_t violator_ = kNoDomain;
};

// "OK secure match=a:.b servername=hostname" -> "a:.b"; "NOTFOUND " -> ""; nullopt for any other.
std::optional<std::string> match_of(std::string_view reply);

}  // namespace mtastsd::simulation
