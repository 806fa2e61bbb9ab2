// Several domains are asked for at once, on connections of their own, because a policy host that
// does not answer takes a minute.

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache.h"
#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/postfix/request.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

using control::Refreshed;
using resolver::Change;

constexpr std::size_t kAtOnce = 8;  // half of the connections that the control socket has
constexpr std::size_t kMaxNames = 1'000'000;
constexpr std::chrono::milliseconds kTick{100};

std::string headline(const Refreshed& done) {
  const std::string kept =
      done.entry && done.entry->holds_policy() ? "; the cached policy stays in force" : "";
  switch (done.result) {
    case Refreshed::Result::Fetched:
      switch (done.change) {
        case Change::None:
          return "fetched: the policy has not changed, and its lifetime begins anew";
        case Change::New:
          return "fetched: a new policy";
        case Change::Replaced:
        case Change::Drifted:
          return "fetched: the policy has changed";
      }
      break;
    case Refreshed::Result::Failed:
      return "failed" + kept;
    case Refreshed::Result::NoRecord:
      return "not fetched: the domain publishes no MTA-STS record" + kept;
    case Refreshed::Result::HeldBack:
      return "not fetched: it is too soon for another attempt (--force makes it)" + kept;
  }
  return "";
}

std::string reason(const Refreshed& done, WallTime now) {
  if (done.result != Refreshed::Result::HeldBack || !done.entry || !done.entry->failure) {
    return done.detail;
  }
  return "the last fetch for this policy id failed (" + done.detail + "); the next attempt is " +
         relative_text(done.entry->failure->retry_at, now);
}

bool is_good(const Refreshed& done) {
  return done.result == Refreshed::Result::Fetched;
}

void print(const DomainName& domain, const Refreshed& done) {
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  const WallTime now = SystemClock().wall();
  const auto colour = is_good(done) ? term::Colour::Green : term::Colour::Yellow;
  std::puts(term::paint(terminal, colour, headline(done)).c_str());
  if (const std::string why = reason(done, now); !why.empty()) {
    std::printf("The reason: %s\n", printable(why).c_str());
  }
  if (done.entry && (done.entry->holds_policy() || done.entry->failure)) {
    std::printf("\n%s", describe(terminal, domain, *done.entry, now).c_str());
  }
}

void print_in_a_line(const DomainName& domain, const Refreshed& done) {
  const std::string why = reason(done, SystemClock().wall());
  std::printf("%s: %s%s\n", domain.str().c_str(), headline(done).c_str(),
              why.empty() ? "" : (" (" + printable(why) + ")").c_str());
}

void print_json(const DomainName& domain, const Refreshed& done) {
  print_line({{"domain", domain.str()},
              {"result", control::to_string(done.result)},
              {"detail", done.detail},
              {"change", to_string(done.change)},
              {"entry", to_json(domain, done.entry)}});
}

control::Client connect(const Settings& settings) {
  auto daemon = connect_to_daemon(settings);
  if (!daemon) {
    throw Trouble(daemon.error() +
                  ": a refresh needs a running daemon: start it, or name its configuration with "
                  "--config");
  }
  return *std::move(daemon);
}

// Refreshes that are made by some threads, and come back as they end.
class Refreshing {
 public:
  struct Ended {
    DomainName domain;
    Result<Refreshed, std::string> done;
  };

  Refreshing(const CacheArguments& arguments, std::deque<DomainName> domains)
      : arguments_(arguments), waiting_(std::move(domains)), left_(waiting_.size()) {
    for (std::size_t i = 0; i < std::min(kAtOnce, left_); ++i) {
      threads_.emplace_back([this] { work(); });
    }
  }
  ~Refreshing() {
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  Refreshing(const Refreshing&) = delete;
  Refreshing& operator=(const Refreshing&) = delete;

  // Nullopt when there are no more.
  std::optional<Ended> next(term::Progress& progress) {
    std::unique_lock lock(mutex_);
    while (ended_.empty() && left_ > 0) {
      changed_.wait_for(lock, kTick);
      progress.tick();
    }
    if (ended_.empty()) {
      return std::nullopt;
    }
    Ended one = std::move(ended_.front());
    ended_.pop_front();
    --left_;
    return one;
  }

 private:
  void work() {
    std::optional<control::Client> daemon;
    while (const auto domain = take()) {
      Ended one{*domain, failure(std::string())};
      try {
        if (!daemon) {
          daemon = connect(arguments_.settings);
        }
        one.done = need(daemon->ask(control::RefreshRequest{*domain, arguments_.force}));
      } catch (const Trouble& trouble) {
        one.done = failure(std::string(trouble.what()));
        daemon.reset();
      }
      {
        const std::lock_guard lock(mutex_);
        ended_.push_back(std::move(one));
      }
      changed_.notify_all();
    }
  }
  std::optional<DomainName> take() {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      return std::nullopt;
    }
    const DomainName domain = waiting_.front();
    waiting_.pop_front();
    return domain;
  }

  const CacheArguments& arguments_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<DomainName> waiting_;  // guarded by mutex_
  std::deque<Ended> ended_;         // guarded by mutex_
  std::size_t left_;                // of all, not returned yet; guarded by mutex_
  std::vector<std::thread> threads_;
};

std::deque<DomainName> failing_domains(const Settings& settings) {
  std::deque<DomainName> domains;
  const WallTime now = SystemClock().wall();
  each_record(settings, [&](std::string_view domain, std::string_view record) {
    const auto name = DomainName::parse(domain);
    const auto entry = cache::decode_entry(record);
    if (name && entry && cache::is_failing(*entry, now)) {
      domains.push_back(*name);
    }
    return true;
  });
  return domains;
}

int refresh_one(const CacheArguments& arguments, const DomainName& domain) {
  control::Client daemon = connect(arguments.settings);
  term::Progress progress("waiting for mtastsd to fetch the policy of " + domain.str());
  const Refreshed done = need(daemon.ask(control::RefreshRequest{domain, arguments.force},
                                         [&progress] { progress.tick(); }));
  progress.hide();
  if (arguments.json) {
    print_json(domain, done);
  } else {
    print(domain, done);
  }
  return is_good(done) ? term::kGood : term::kNotFound;
}

// One that cannot be refreshed does not hinder the others. Begins with `status`.
int refresh_each(const CacheArguments& arguments, std::deque<DomainName> domains, int status) {
  const std::size_t count = domains.size();
  std::size_t good = 0;
  std::size_t seen = 0;
  term::Progress progress("waiting for mtastsd to fetch policies", count);
  Refreshing refreshing(arguments, std::move(domains));
  while (const auto ended = refreshing.next(progress)) {
    progress.hide();
    if (!ended->done) {
      status = term::trouble(ended->domain.str() + ": " + ended->done.error());
    } else if (arguments.json) {
      print_json(ended->domain, *ended->done);
    } else {
      print_in_a_line(ended->domain, *ended->done);
    }
    std::fflush(stdout);
    good += ended->done && is_good(*ended->done) ? 1 : 0;
    progress.step(++seen);
  }
  progress.hide();
  if (!arguments.json) {
    std::printf("%s of %s fetched\n", term::count_text(good).c_str(),
                term::count_text(count).c_str());
  }
  return good == count ? status : std::max(status, static_cast<int>(term::kNotFound));
}

}  // namespace

int cache_refresh(CacheArguments& arguments) {
  const std::vector<std::string> names = names_given("cache refresh", arguments.domains, kMaxNames);
  if (arguments.failing != arguments.domains.empty()) {
    throw Trouble("cache refresh: name domains, or give --failing");
  }
  arguments.settings.load();
  connect(arguments.settings);
  if (arguments.failing) {
    auto domains = failing_domains(arguments.settings);
    if (domains.empty()) {
      if (!arguments.json) {
        std::puts("nothing fails: every policy can be had and renewed");
      }
      return term::kGood;
    }
    return refresh_each(arguments, std::move(domains), term::kGood);
  }
  if (arguments.domains.size() == 1 && arguments.domains.front() != "-") {
    return refresh_one(arguments, domain_of(names.front()));
  }
  int status = term::kGood;
  std::deque<DomainName> domains;
  for (const std::string& name : names) {
    if (const auto domain = postfix::policy_domain_of(name)) {
      domains.push_back(*domain);
    } else {
      status = term::trouble(in_quotes(name) + " names no domain that can have a policy");
    }
  }
  return refresh_each(arguments, std::move(domains), status);
}

}  // namespace mtastsd::ctl
