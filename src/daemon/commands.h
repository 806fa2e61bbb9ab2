#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "acceptor.h"
#include "mtastsd/answer/answerer.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/config/config.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/control/server.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/socketmap/server.h"
#include "override_book.h"
#include "resolver_thread.h"
#include "tracers.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::daemon {

// What the operator is told of the daemon, beside what its parts count. Set at the start; what it
// points to outlives the commands.
struct DaemonFacts {
  control::Status status;  // what does not change
  const socketmap::ConnectionCount* connections = nullptr;
  std::vector<const answer::Counters*> answering;  // one for each thread
  std::vector<const socketmap::ServerCounters*> serving;
  const resolver::Counters* resolver = nullptr;
  std::string ca_file;  // as configured
  // Calls its argument later, on the thread of the commands, with the sum of each answering thread.
  std::function<void(std::function<void(std::vector<answer::ObservedSum>)>)> observed;
};

control::Status::Queries queries_of(const std::vector<const answer::Counters*>& threads);

// Carries out what the operator's tool asks on the control socket. On the main thread, which reads
// the cache itself; what the resolver has to say or do is handed to its thread and comes back by
// the loop.
class Commands {
 public:
  // Runs its argument on the resolver's thread, or never when that has ended.
  using OnResolver = std::function<void(ResolverThread::Work)>;

  Commands(event::Loop& loop, const Clock& clock, cache::LmdbStore& store, OverrideBook& overrides,
           Tracers& tracers, Log& log, OnResolver on_resolver, answer::Profiles profiles,
           DaemonFacts facts);

  void listen(std::unique_ptr<Listener> listener);

  // Carries out a request that did not come by the control socket. `tell` is called once, on any
  // thread, also when this object is gone; or never, when the resolver's thread has ended.
  using Tell = std::function<void(const control::Reply&)>;
  void ask(const control::Request& request, Tell tell);

  // What Postfix is answered by from now on.
  void set_profiles(answer::Profiles profiles) { profiles_ = std::move(profiles); }

 private:
  class ReplyTo;

  void handle(std::string_view line, std::uint64_t connection);
  void carry_out(const control::StatusRequest& request, const ReplyTo& reply);
  void carry_out(const control::ShowRequest& request, const ReplyTo& reply);
  void carry_out(const control::HistoryRequest& request, const ReplyTo& reply);
  void carry_out(const control::ExplainRequest& request, const ReplyTo& reply);
  static void survey_and_reply(resolver::Resolver& resolver, const answer::Explanation& it,
                               bool fresh, const Clock& clock, const ReplyTo& reply);
  void carry_out(const control::RefreshRequest& request, const ReplyTo& reply);
  void carry_out(const control::ForgetRequest& request, const ReplyTo& reply);
  void carry_out(const control::ImportRequest& request, const ReplyTo& reply);
  void carry_out(const control::ListRequest& request, const ReplyTo& reply);
  void carry_out(const control::MxMismatchesRequest& request, const ReplyTo& reply);
  void carry_out(const control::OverridesRequest& request, const ReplyTo& reply);
  void carry_out(const control::OverrideAddRequest& request, const ReplyTo& reply);
  void carry_out(const control::OverrideRemoveRequest& request, const ReplyTo& reply);
  void carry_out(const control::TraceRequest& request, const ReplyTo& reply);
  void carry_out(const control::ObserveRequest& request, const ReplyTo& reply);
  std::vector<overrides::Override> all_overrides() const;
  // What the cache has of a domain, what waits for its commit included; null: nothing.
  cache::EntryPtr known(const DomainName& domain);

  event::Loop& loop_;
  const Clock& clock_;
  cache::LmdbStore& store_;
  OverrideBook& overrides_;
  Tracers& tracers_;
  Log& log_;
  const OnResolver on_resolver_;
  answer::Profiles profiles_;
  const DaemonFacts facts_;
  std::unique_ptr<cache::Reader> reader_;  // depends-on: store_
  control::Server server_;
  std::unique_ptr<Acceptor> acceptor_;  // depends-on: server_
};

}  // namespace mtastsd::daemon
