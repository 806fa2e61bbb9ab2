#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/overrides/table.h"
#include "mtastsd/resolver/counters.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd {
class Log;
namespace cache {
class Store;
}
namespace dane {
class Finder;
}
namespace event {
class Timer;
class Timers;
}  // namespace event
}  // namespace mtastsd

namespace mtastsd::resolver {

class ClockCheck;
class FairSlots;
class LineBudget;
class MxWatch;
class Repeats;
class Surveys;
class WorkQueue;
enum class Lane;
struct Outcome;

// What a query, or an operator, is told.
struct Answer {
  cache::EntryPtr entry;  // null: too many domains are being looked up already
  bool fresh = false;     // fetched for this very query: it counts even with a max_age of 0
  // What came of the lookup, if there was one; an operator may have waited for it.
  Change change = Change::None;
  bool failed = false;  // DNS or the policy host did not give what was asked for
  std::string detail;   // for people: why there is no newer policy; empty: the known one is current
};

using Waiter = std::function<void(const Answer&)>;

// Stands for an answer that is still to come. Dropping it cancels: after that the waiter never
// runs. The lookup itself goes on, because the next query can use what it finds.
class Ticket {
 public:
  explicit Ticket(std::shared_ptr<Waiter> waiter) : waiter_(std::move(waiter)) {}
  ~Ticket() { cancel(); }
  Ticket(Ticket&&) noexcept = default;
  Ticket& operator=(Ticket&& other) noexcept {
    cancel();
    waiter_ = std::move(other.waiter_);
    return *this;
  }

  // Lets the answer come without a handle to cancel it, for a waiter that refers to nothing that
  // could go away before the resolver does.
  void detach() { waiter_.reset(); }

 private:
  void cancel() {
    if (waiter_) {
      *waiter_ = nullptr;
    }
  }

  std::shared_ptr<Waiter> waiter_;  // empty once it has run
};

// What is known already, or a ticket for what is to come.
template <typename T>
using NowOrLater = std::variant<T, Ticket>;

// For a caller that never cancels: calls `tell`, which is also the waiter, with what is known, or
// lets the answer come.
template <typename T, typename Tell>
void tell_now_or_later(NowOrLater<T> answer, const Tell& tell) {
  if (auto* ticket = std::get_if<Ticket>(&answer)) {
    ticket->detach();
  } else {
    tell(std::get<T>(answer));
  }
}

struct Options {
  Limits limits;
  Milliseconds fetch_timeout{60000};       // for a policy, once it is known where its host is
  Milliseconds patience{20000};            // how long somebody who asks waits for the answer
  std::size_t max_discovering = 2048;      // TXT records that are looked up at once
  std::size_t max_locating = 512;          // policy hosts whose addresses are looked up at once
  std::size_t max_fetching = 256;          // policies that are fetched at once
  std::size_t max_fetching_per_host = 64;  // of these, from one policy host
  std::size_t max_domains = 20000;         // domains that are looked up or wait for it, in all
  // Beyond these bounds a quarter as many again are kept for policies in use that are kept current.
};

// Everything it needs from outside, owned by the caller and outliving it.
struct Services {
  const Clock& clock;
  event::Timers& timers;
  discovery::Discovery& discovery;
  cache::Store& store;
  Log& log;
  std::function<double()> jitter;  // in [0, 1)
  dane::Finder* finder = nullptr;  // null: nothing is found out about DANE
  dns::DnsClient* dns = nullptr;   // null: the MX hosts of cached policies are not watched
};

// A domain whose policy is enforced, and none of whose MX hosts matches it: its mail is deferred.
struct MxMismatch {
  DomainName domain;
  WallTime since{};   // it was noticed
  std::string hosts;  // what DNS names: "a.example,b.example", as many as fit into a log line
};

// Finds out: one lookup at a time for a domain, however many ask for it, and keeps policies fresh.
// Everything happens on one thread, that of its timers, and is bounded. It asks DNS and policy
// hosts only about domains that somebody asked for. No owner of domains keeps the others waiting:
// see WorkQueue.
//
// A waiter runs at most once, on that thread, never before the call that took it has returned and
// never from a destructor; it may drop tickets and ask again, but not destroy the resolver.
//
// A domain in use whose policy is cached has its TXT record checked once more when that falls due,
// whether or not a query comes: the mail that was deferred because its owner is changing the policy
// finds the new one at its first retry (RFC 8461 section 5.1).
class Resolver {
 public:
  Resolver(Services services, Options options);
  ~Resolver();  // waiters are dropped
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // A query came for this domain, and waits for an answer.
  [[nodiscard]] NowOrLater<Answer> ask(const DomainName& domain, Waiter waiter);

  // A query came for this domain and was answered from the cache (Verdict::needs_touch): notes the
  // use, and checks the record if that is due.
  void touch(const DomainName& domain);

  // Finds out whether DANE decides for a target of a domain that has a policy in force, and notes
  // it in the domain's entry (Entry::dane_states). The answer has the entry as it is then. Without
  // a waiter nobody waits.
  [[nodiscard]] NowOrLater<Answer> survey(const DomainName& domain, const dane::Target& target,
                                          Waiter waiter);

  // Fetches the domain's policy again, for an operator who waits for what comes of it. The purpose
  // is Refresh or Force.
  [[nodiscard]] NowOrLater<Answer> refresh(const DomainName& domain, Purpose purpose,
                                           Waiter waiter);

  // Drops what is known of a domain, once no lookup is running that would store it again. The
  // answer is what was known, or null.
  [[nodiscard]] NowOrLater<cache::EntryPtr> forget(const DomainName& domain,
                                                   std::function<void(cache::EntryPtr)> done);

  // Runs `then` when the lookup of the domain that is running has ended. Nullopt: there is none,
  // and `then` is not called.
  [[nodiscard]] std::optional<Ticket> when_idle(const DomainName& domain,
                                                std::function<void()> then);

  // Policies in force whose refresh is overdue (cache::is_overdue()), as of the last look at what
  // is due, some seconds ago.
  std::size_t overdue() const { return overdue_; }

  // Policies of mode enforce that end within kEndsSoon and whose last refresh failed, as far as
  // this run of the daemon has seen: the back-off of a failing one ends within an hour.
  std::size_t ending_soon() const { return ending_soon_.size(); }
  static constexpr Seconds kEndsSoon{2 * 86400};
  static constexpr std::size_t kMaxEndingSoon = 10000;

  // By name, those behind `after`. What MxWatch has found in its last round.
  std::vector<MxMismatch> mx_mismatches(const std::string& after, std::size_t most) const;
  std::size_t mx_mismatch_count() const;

  void set_overrides(overrides::TablePtr overrides);
  void set_options(const Options& options);
  const Counters& counters() const { return counters_; }
  std::size_t domains_at_work() const { return lookups_.size(); }

  // The stages of a lookup: the TXT record, the addresses of the policy host, the policy. Counts
  // what is in the queue: not for every query.
  struct StageLoad {
    std::size_t at_work = 0;
    std::size_t waiting = 0;
    std::size_t places = 0;  // a quarter as many again are kept for refreshes
  };
  static constexpr std::size_t kStages = 3;
  std::array<StageLoad, kStages> load() const;

 private:
  static constexpr Milliseconds kDueInterval{15000};
  static constexpr std::size_t kMaxFollowUps = 20000;

  struct Lookup;
  using Cells = std::vector<std::shared_ptr<Waiter>>;

  // Queries and operators.
  cache::EntryPtr note_query(const DomainName& domain);
  void look_up_for_query(const DomainName& domain, Lane lane);
  Lookup* join_or_create(const DomainName& domain, Lane lane);
  Lookup* create(const DomainName& domain, Lane lane);
  void mark_refresh(Lookup& lookup, Purpose purpose);
  Ticket wait_for(Lookup& lookup, Cells& cells, Waiter waiter);
  void wait_in_front(Lookup& lookup);
  void lower_what_nobody_waits_for();
  void warn_overload();

  // One lookup, step by step.
  void start_work();
  void start_record(Lookup& lookup);
  void start_addresses(Lookup& lookup);
  void on_record(Lookup& lookup, const discovery::Record& record);
  void start_policy(Lookup& lookup);
  void connect(Lookup& lookup);
  Milliseconds time_left(const Lookup& lookup) const;
  void on_addresses(Lookup& lookup, discovery::HostAddresses addresses);
  void on_connected(Lookup& lookup, discovery::Connected connected);
  void fetch(Lookup& lookup, https::Connection connection);
  void on_policy(Lookup& lookup, discovery::FetchedPolicy fetched);
  void trace_failure(const Lookup& lookup, const discovery::PolicyFailure& why);
  void give_up(Lookup& lookup);
  void finish_fetch(Lookup& lookup, const Result<Fetched, FetchFailure>& fetched);
  void count_failure(cache::FailureType type);
  void finish(Lookup& lookup, Outcome outcome);
  void refresh_again(const DomainName& domain, Purpose purpose, Cells cells);
  static void tell(const Cells& cells, const Answer& answer);
  void note_ending(const DomainName& domain, const cache::Entry& entry);

  // What becomes due without a query (upkeep.cc).
  void plan_follow_up(const DomainName& domain, const cache::Entry& entry);
  void run_follow_ups();
  void arm_follow_up_timer();
  void run_due();
  void check_clock();
  void revisit(const DomainName& domain, WallTime now);
  void warn_overdue();
  void note_dns(bool failed);

  Services services_;
  const SteadyTime started_ = services_.clock.steady();
  Options options_;
  Counters counters_;
  std::unique_ptr<WorkQueue> queue_;
  std::unordered_map<DomainName, std::unique_ptr<Lookup>> lookups_;  // the domains in queue_
  std::unique_ptr<Repeats> dns_failed_;
  std::set<DomainName> ending_soon_;  // at most kMaxEndingSoon
  std::multimap<SteadyTime, DomainName> follow_ups_;
  std::unique_ptr<FairSlots> follow_up_slots_;  // of follow_ups_, by owner
  // When those who wait for a lookup will have gone, in this order, and which lookup it is.
  struct Patience {
    SteadyTime until;
    DomainName domain;
    std::uint64_t lookup;
  };
  std::deque<Patience> patience_;
  std::uint64_t last_lookup_ = 0;
  std::unique_ptr<LineBudget> line_budget_;
  std::unique_ptr<ClockCheck> clock_check_;
  std::unique_ptr<Surveys> surveys_;   // depends-on: line_budget_
  std::unique_ptr<MxWatch> mx_watch_;  // depends-on: line_budget_
  std::size_t overdue_ = 0;
  std::optional<SteadyTime> last_overload_warning_;
  std::optional<SteadyTime> last_overdue_warning_;
  std::size_t dns_failures_in_a_row_ = 0;
  SteadyTime dns_failing_since_{};
  std::optional<SteadyTime> last_dns_warning_;
  std::unique_ptr<event::Timer> follow_up_timer_;
  std::unique_ptr<event::Timer> due_timer_;
};

}  // namespace mtastsd::resolver
