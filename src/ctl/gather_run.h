#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mtastsd/check/gather.h"
#include "mtastsd/config/config.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/https/curl_fetcher.h"
#include "mtastsd/https/dialer.h"
#include "mtastsd/log/log.h"
#include "mtastsd/term/terminal.h"

namespace mtastsd::ctl {

// What looking at domains from outside needs.
struct GatherSetup {
  dns::AresOptions dns;
  https::CurlOptions https;
  discovery::Settings discovery;
  check::GatherOptions gather;
};

// What looking at domains from outside is told on the command line.
struct GatherArguments {
  std::string verb;
  bool smtp = false;
  std::vector<std::string> dns;
  std::string ca_file;
  unsigned port = 0;  // 0: that of the configuration
  std::string timeout = "30s";
};
// With the configuration for what is not given. Throws Trouble.
GatherSetup make_gather_setup(const GatherArguments& arguments, const config::Config& config);

// Gathers the facts about many domains, some at a time. curl_global_init() was called.
class GatherRun {
 public:
  // `doing` is what the progress says.
  GatherRun(const GatherSetup& setup, std::vector<DomainName> domains, std::size_t at_once,
            const char* doing);
  ~GatherRun();

  // Calls `done` for each domain, by its place among them, as the facts come in. Returns after the
  // last one.
  using Done = std::function<void(std::size_t place, check::Facts facts)>;
  void run(Done done);

  void hide_progress() { progress_.hide(); }

 private:
  void start_more();
  void finished(std::size_t place, check::Facts facts);
  void show_progress();

  const std::vector<DomainName> domains_;
  const std::size_t at_once_;
  Done done_;
  event::Loop loop_;
  SystemClock clock_;
  Log log_;
  std::unique_ptr<dns::AresClient> dns_;                       // depends-on: loop_
  std::unique_ptr<https::Dialer> dialer_;                      // depends-on: loop_
  std::unique_ptr<https::PolicyFetcher> fetcher_;              // depends-on: loop_
  discovery::Discovery discovery_;                             // depends-on: all above
  check::Gatherer gatherer_;                                   // depends-on: all above
  std::vector<std::unique_ptr<check::Gathering>> gatherings_;  // depends-on: gatherer_
  std::size_t started_ = 0;
  std::size_t running_ = 0;
  std::size_t finished_ = 0;
  term::Progress progress_;
  std::unique_ptr<event::Timer> progress_timer_;
};

}  // namespace mtastsd::ctl
