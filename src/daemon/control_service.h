#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "acceptor.h"
#include "mtastsd/answer/counters.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/config/config.h"
#include "mtastsd/control/server.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/resolver/counters.h"
#include "mtastsd/socketmap/server.h"

namespace mtastsd {
class Log;
namespace cache {
class LmdbStore;
}
namespace dns {
class AresClient;
}
namespace resolver {
class Resolver;
}
}  // namespace mtastsd

namespace mtastsd::daemon {

// What the operator is told of the daemon, beside what its parts count. Set at the start.
struct DaemonFacts {
  std::string config_path;  // empty: built-in defaults
  std::vector<std::string> listeners;
  std::string cache_directory;
  std::size_t cache_max_size = 0;
  std::size_t max_connections = 0;
  WallTime started_at{};
  const std::atomic<std::size_t>* open_connections = nullptr;
  std::vector<const answer::Counters*> answering;  // one for each thread
  std::vector<const socketmap::ServerCounters*> serving;
  const resolver::Counters* resolver = nullptr;
};

// Answers the operator's tool on the control socket: what the daemon is doing, what it knows of a
// domain, and changes to that. On the main thread; what the resolver has to say is asked on its
// thread and comes back by the loop. Commands and replies are in control_service.cc.
class ControlService {
 public:
  using OnResolver = std::function<void(resolver::Resolver&, dns::AresClient&)>;

  // `on_resolver` runs its argument on the resolver's thread, or never when that has ended.
  ControlService(event::Loop& loop, const Clock& clock, cache::LmdbStore& store, Log& log,
                 std::function<void(OnResolver)> on_resolver, DaemonFacts facts);

  // Listens; a socket that cannot be made is logged and done without.
  void listen(const config::Control& options);

 private:
  class Reply;

  void handle(std::string_view line, std::uint64_t connection);
  void status(const Reply& reply);
  void entry(const DomainName& domain, const Reply& reply);
  void refresh(const DomainName& domain, const Reply& reply);
  void forget(const DomainName& domain, const Reply& reply);
  void import(std::string_view line, const Reply& reply);

  event::Loop& loop_;
  const Clock& clock_;
  cache::LmdbStore& store_;
  Log& log_;
  const std::function<void(OnResolver)> on_resolver_;
  const DaemonFacts facts_;
  control::Server server_;
  std::unique_ptr<Acceptor> acceptor_;  // depends-on: server_
};

}  // namespace mtastsd::daemon
