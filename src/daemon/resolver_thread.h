#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/config/config.h"
#include "mtastsd/dane/finder.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/https/authorities.h"
#include "mtastsd/https/curl_fetcher.h"
#include "mtastsd/https/dialer.h"
#include "mtastsd/https/fetch_thread.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::daemon {

// The thread that finds out: the resolver with its DNS client, on a loop of their own. Connections
// to policy hosts are made there; TLS and HTTP happen on another thread. The public functions may
// be called from any thread.
class ResolverThread {
 public:
  // `clock`, `store` and `log` outlive it.
  ResolverThread(const config::Config& config, const Clock& clock, cache::LmdbStore& store,
                 Log& log);
  ~ResolverThread();  // as stop()
  ResolverThread(const ResolverThread&) = delete;
  ResolverThread& operator=(const ResolverThread&) = delete;

  void start();
  // Ends the thread. Work that was handed over and not begun is dropped, waiters are too.
  void stop();

  // As Resolver::ask(), and the waiter is called on this thread with what is known at once, too.
  // Without a waiter as Resolver::touch(). With a target as Resolver::survey().
  void ask(const DomainName& domain, const std::optional<dane::Target>& survey,
           resolver::Waiter waiter);

  // Runs `work` on this thread, or never when it has ended.
  using Work = std::function<void(resolver::Resolver&, dns::AresClient&)>;
  void run(Work work);

  // Takes over what a reload can change.
  void reload(const config::Config& config);

  const resolver::Counters& counters() const { return resolver_.counters(); }
  // Before start() only.
  std::vector<std::string> dns_servers() const { return dns_->servers(); }

 private:
  double jitter();

  std::mt19937_64 random_{std::random_device{}()};
  event::Loop loop_;
  std::unique_ptr<dns::AresClient> dns_;   // depends-on: loop_
  std::unique_ptr<https::Dialer> dialer_;  // depends-on: loop_
  std::shared_ptr<https::Authorities> authorities_;
  https::AuthoritiesWatch authorities_watch_;      // depends-on: loop_, authorities_
  std::unique_ptr<https::PolicyFetcher> fetcher_;  // depends-on: loop_; with threads of its own
  discovery::Discovery discovery_;                 // depends-on: all above
  dane::Finder dane_;                              // depends-on: dns_
  resolver::Resolver resolver_;                    // depends-on: all above
  std::thread thread_;
};

}  // namespace mtastsd::daemon
