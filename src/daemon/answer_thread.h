#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "acceptor.h"
#include "mtastsd/answer/answerer.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/config/config.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/overrides/table.h"
#include "mtastsd/resolver/resolver.h"
#include "mtastsd/socketmap/server.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::daemon {

// How long the parts of a stop may take, from its beginning.
struct StopLimits {
  Milliseconds read;    // for the request of a client that has just connected
  Milliseconds answer;  // for the resolver; then queries are answered with what is known
  Milliseconds stop;    // for clients to take their replies; the longest
};

// A thread that answers: its connections and what they are answered from, on a loop of their own.
class AnswerThread final : public answer::Asker {
 public:
  // How the resolver's thread is asked, from this one; a null waiter only tells it of a query. The
  // waiter is called on the resolver's thread, which has to end before this object is destroyed.
  // With a target, a survey of DANE is what is asked for.
  using AskResolver =
      std::function<void(const DomainName& domain, const std::optional<dane::Target>& survey,
                         resolver::Waiter waiter)>;

  // `clock`, `store`, `log` and `connections`, which all threads share, outlive it.
  AnswerThread(const config::Config& config, const Clock& clock, const cache::LmdbStore& store,
               AskResolver ask_resolver, Log& log, socketmap::ConnectionCount& connections);
  ~AnswerThread() override;  // ends the thread at once
  AnswerThread(const AnswerThread&) = delete;
  AnswerThread& operator=(const AnswerThread&) = delete;

  // Before start(): this thread accepts connections for all of them, and `take` says where each
  // goes.
  void accept_on(std::vector<std::unique_ptr<Listener>> listeners,
                 std::function<void(int fd)> take);
  // `overrides` as Answerer::set_overrides().
  void start(overrides::TablePtr overrides);

  // Takes over an accepted, non-blocking socket: from this thread, or from any other.
  void add_here(int fd);
  void add(int fd);

  // Runs `work` on this thread. From any thread.
  void run(event::Callback work) { loop_.post(std::move(work)); }

  // Takes over what a reload can change. From any thread.
  void reload(const config::Config& config);

  // Answers by these from now on, and then calls `then` on this thread. From any thread.
  void set_overrides(overrides::TablePtr overrides, event::Callback then);

  // As Answerer::set_traced(). From any thread.
  void set_traced(answer::Answerer::Traced traced);

  // Stops accepting, and then calls `then` on this thread. What was accepted has been handed on.
  void stop_accepting(std::function<void()> then);
  // Answers what has been asked and ends the thread. Call add() no more.
  void begin_stop(const StopLimits& limits);
  void join();

  // On this thread.
  answer::ObservedSum observed() const { return answerer_.observed(); }

  const answer::Counters& counters() const { return counters_; }
  const socketmap::ServerCounters& server_counters() const { return server_counters_; }

 private:
  void ask(const DomainName& domain, std::uint64_t question) override;
  void survey(const DomainName& domain, const dane::Target& target,
              std::uint64_t question) override;
  resolver::Waiter waiter_for(std::uint64_t question);

  const AskResolver ask_resolver_;
  answer::Counters counters_;
  socketmap::ServerCounters server_counters_;
  event::Loop loop_;
  answer::Answerer answerer_;  // depends-on: loop_
  socketmap::Server server_;   // depends-on: loop_, answerer_
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<event::Timer> last_call_;
  std::unique_ptr<event::Timer> give_up_;
  std::thread thread_;
};

}  // namespace mtastsd::daemon
