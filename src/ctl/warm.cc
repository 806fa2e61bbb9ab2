// Each domain is a query as Postfix makes it, on one of a few connections and at a bounded rate. So
// the daemon has room left for mail, and the policy hosts of a large provider are not asked for all
// of its domains at once. A domain without a policy and one whose policy cannot be had get the same
// reply, so the daemon is then asked on its control socket which of them it is.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/postfix/request.h"
#include "mtastsd/socketmap/client.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kConnections = 16;
constexpr std::size_t kMaxKeyBytes = 4096;
constexpr int kTickMilliseconds = 100;
constexpr std::size_t kMaxComplaints = 10;

struct Arguments {
  std::string file;
  unsigned rate = 20;
  bool json = false;
  Settings settings;
};

// How many domains a file names; nullopt for a file that can be read only once.
std::optional<std::size_t> domains_in(const Lines& file) {
  if (::lseek(file.fd(), 0, SEEK_CUR) < 0) {
    return std::nullopt;
  }
  Lines lines(file.fd(), kMaxKeyBytes);
  std::size_t count = 0;
  while (lines.read()) {
    ++count;
  }
  ::lseek(file.fd(), 0, SEEK_SET);
  return count;
}

// Why nothing is known of a policy that may be there; nullopt: there is none.
std::optional<std::string> why_it_failed(const cache::EntryPtr& entry) {
  const bool none =
      !entry || entry->holds_policy() || entry->no_policy_reason == cache::NoPolicyReason::NoRecord;
  return none ? std::nullopt : std::optional(no_policy_text(*entry));
}

class Warming {
 public:
  Warming(std::vector<socketmap::Client> clients, std::optional<control::Client> daemon,
          Lines lines, unsigned rate)
      : daemon_(std::move(daemon)),
        total_(domains_in(lines)),
        lines_(std::move(lines)),
        spacing_(std::chrono::nanoseconds(std::chrono::seconds(1)) / rate),
        progress_("warming the cache", total_) {
    for (auto& client : clients) {
      slots_.push_back({std::move(client), std::string()});
    }
  }

  void run() {
    for (;;) {
      ask_next();
      if (busy_ == 0 && lines_.at_end()) {
        progress_.hide();
        return;
      }
      take_replies();
    }
  }

  int report(bool as_json) const {
    const auto took = std::chrono::duration_cast<Seconds>(steady_clock::now() - began_);
    if (as_json) {
      print_line({{"asked", done_},
                  {"with_policy", found_},
                  {"without", done_ - found_ - failed_},
                  {"failed", failed_},
                  {"no_domain", no_domain_},
                  {"took_s", took.count()}});
    } else {
      std::printf("%s domains asked for in %s: %s with a policy in force, %s without, %s failed\n",
                  term::count_text(done_).c_str(), span_text(took).c_str(),
                  term::count_text(found_).c_str(),
                  term::count_text(done_ - found_ - failed_).c_str(),
                  term::count_text(failed_).c_str());
      if (no_domain_ > 0) {
        std::printf("%s lines are no domain\n", term::count_text(no_domain_).c_str());
      }
    }
    return unasked_ > 0 || no_domain_ > 0 ? term::kTrouble
           : failed_ > 0                  ? term::kNotFound
                                          : term::kGood;
  }

 private:
  struct Slot {
    socketmap::Client client;
    std::string key;  // asked for; empty: free
  };

  // Asks for the next domain if its time has come and a connection is free.
  void ask_next() {
    while (busy_ < slots_.size() && steady_clock::now() >= next_at_) {
      auto line = lines_.read();
      if (!line) {
        return;
      }
      if (!postfix::policy_domain_of(*line)) {
        complain(++no_domain_, lines_.position() + ": " + in_quotes(*line) + " is no domain");
        continue;
      }
      const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                     [](const Slot& one) { return one.key.empty(); });
      need(slot->client.send("postfix", *line));
      slot->key = std::move(*line);
      ++busy_;
      next_at_ = std::max(next_at_ + spacing_, steady_clock::now() - spacing_);
    }
  }

  void take_replies() {
    std::vector<pollfd> watches;
    for (const Slot& slot : slots_) {
      watches.push_back({slot.key.empty() ? -1 : slot.client.fd(), POLLIN, 0});
    }
    ::poll(watches.data(), watches.size(), wait_milliseconds());
    progress_.tick();
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (watches[i].revents == 0) {
        continue;
      }
      const auto reply = slots_[i].client.receive();
      if (!reply) {
        throw Trouble(slots_[i].key + ": " + reply.error());
      }
      count(slots_[i].key, *reply);
      slots_[i].key.clear();
      --busy_;
    }
  }

  int wait_milliseconds() const {
    if (busy_ == slots_.size() || lines_.at_end()) {
      return kTickMilliseconds;
    }
    const auto wait = std::chrono::ceil<Milliseconds>(next_at_ - steady_clock::now()).count();
    return std::clamp(static_cast<int>(wait), 0, kTickMilliseconds);
  }

  void count(const std::string& key, const std::string& reply) {
    ++done_;
    const int status = status_of(reply);
    if (status == term::kGood) {
      ++found_;
    } else if (status == term::kTrouble) {
      ++unasked_;
      complain(++failed_, printable(key) + ": " + printable(reply));
    } else if (const auto why = ask_why(key)) {
      complain(++failed_, printable(key) + ": " + *why);
    }
    progress_.step(done_);
  }

  std::optional<std::string> ask_why(const std::string& key) {
    const auto domain = postfix::policy_domain_of(key);
    return domain && daemon_
               ? why_it_failed(need(daemon_->ask(control::ShowRequest{*domain})).entry)
               : std::nullopt;
  }

  // The first of each kind are named, and the rest are counted.
  void complain(std::size_t number, const std::string& what) {
    if (number <= kMaxComplaints) {
      progress_.hide();
      term::trouble(what);
    }
  }

  std::vector<Slot> slots_;
  std::optional<control::Client> daemon_;  // none: it has no control socket, or not for this user
  const std::optional<std::size_t> total_;
  Lines lines_;
  const std::chrono::nanoseconds spacing_;
  term::Progress progress_;
  const SteadyTime began_ = steady_clock::now();
  SteadyTime next_at_ = began_;
  std::size_t busy_ = 0;
  std::size_t done_ = 0;
  std::size_t found_ = 0;
  std::size_t failed_ = 0;
  std::size_t unasked_ = 0;    // of those that failed: mtastsd itself had trouble
  std::size_t no_domain_ = 0;  // lines
};

std::optional<control::Client> control_client(const Settings& settings) {
  try {
    if (auto daemon = connect_to_daemon(settings)) {
      return *std::move(daemon);
    }
  } catch (const Trouble&) {  // it is of no use to this user
  }
  return std::nullopt;
}

int warm(Arguments& arguments) {
  arguments.settings.load();
  Lines lines = Lines::of(arguments.file, kMaxKeyBytes);
  const auto& server = arguments.settings.config.socketmap.listen.front();
  std::vector<socketmap::Client> clients;
  while (clients.size() < std::min<std::size_t>(kConnections, arguments.rate)) {
    clients.push_back(need(socketmap::Client::connect(server)));
  }
  Warming warming(std::move(clients), control_client(arguments.settings), std::move(lines),
                  arguments.rate);
  try {
    warming.run();
  } catch (const Trouble&) {
    warming.report(arguments.json);
    throw;
  }
  return warming.report(arguments.json);
}

}  // namespace

void add_warm(Verb& root) {
  Verb verb = root.add("warm", "make mtastsd look up a list of domains before mail goes there");
  Arguments& arguments = verb.runs(warm);
  verb.argument("FILE", arguments.file, "the domains, one a line; - is standard input");
  verb.number("--rate", arguments.rate, "NUMBER", 1, 1000, "the most domains to ask for a second");
  verb.flag("--json", arguments.json, "print the summary as a JSON object");
  arguments.settings.add_option(verb);
  verb.footer(
      "Examples:\n"
      "  mtastsctl warm domains\n"
      "  cut -d@ -f2 addresses | sort -u | mtastsctl warm --rate 10 -");
}

}  // namespace mtastsd::ctl
