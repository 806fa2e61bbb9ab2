#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mtastsd/answer/answerer.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"

namespace mtastsd::daemon {

// Shows operators what happens about a domain, as it happens: all events with that domain, those of
// the level Trace included. Whoever traces asks again and again, and is answered when there is
// something, or after a second. A tracer ends when it asks no more, and after kLongest. While there
// is none, nothing is watched. On the main thread; the events come from any.
class Tracers {
 public:
  static constexpr std::size_t kMost = 4;
  // That wait to be fetched, for each tracer. Each is a line of the log, so a reply can hold them.
  static constexpr std::size_t kMaxEvents = 200;
  static constexpr Milliseconds kLongest{3600000};
  static constexpr Milliseconds kPatience{10000};  // without a request

  using SetTraced = std::function<void(answer::Answerer::Traced)>;
  using Reply = std::function<void(control::Traced)>;

  // `set_traced` tells all who answer.
  Tracers(event::Timers& timers, const Clock& clock, Log& log, SetTraced set_traced);
  Tracers(const Tracers&) = delete;
  Tracers& operator=(const Tracers&) = delete;

  // A request of a connection. The reply comes later, from the loop. The error is a sentence.
  Result<void, std::string> follow(std::uint64_t connection, const DomainName& domain, Reply reply);

 private:
  struct Tracer {
    DomainName domain;
    SteadyTime since{};
    SteadyTime asked_at{};
    Reply reply;          // empty: nobody waits
    control::Traced got;  // guarded by mutex_
  };

  void note(const EventRow& row, Log::Fields fields);
  void look();
  void domains_changed();

  const Clock& clock_;
  Log& log_;
  const SetTraced set_traced_;
  std::mutex mutex_;                         // for `got` of each, and for the map when it changes
  std::map<std::uint64_t, Tracer> tracers_;  // by connection
  std::unique_ptr<event::Timer> timer_;
  std::unique_ptr<Log::Watcher> watcher_;  // depends-on: all above; null: there is no tracer
};

}  // namespace mtastsd::daemon
