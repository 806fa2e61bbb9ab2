// Each domain is a query as Postfix makes it, on one of a few connections and at a bounded rate. So
// the daemon has room left for mail, and the policy hosts of a large provider are not asked for all
// of its domains at once.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "json.h"
#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/socketmap/client.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "mtastsd/term/terminal.h"
#include "settings.h"
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
std::optional<std::size_t> domains_in(int fd) {
  if (::lseek(fd, 0, SEEK_CUR) < 0) {
    return std::nullopt;
  }
  Lines lines(fd, kMaxKeyBytes);
  std::size_t count = 0;
  while (!lines.at_end()) {
    if (lines.next()) {
      ++count;
    } else if (!lines.fill()) {
      break;
    }
  }
  ::lseek(fd, 0, SEEK_SET);
  return count;
}

class Warming {
 public:
  Warming(std::vector<socketmap::Client> clients, int fd, unsigned rate)
      : total_(domains_in(fd)),
        lines_(fd, kMaxKeyBytes),
        spacing_(std::chrono::nanoseconds(std::chrono::seconds(1)) / rate),
        progress_("warming the cache", total_) {
    for (auto& client : clients) {
      slots_.push_back({std::move(client), std::string()});
    }
  }

  Result<void, std::string> run() {
    while (true) {
      if (auto asked = ask_next(); !asked) {
        return asked;
      }
      if (busy_ == 0 && lines_.at_end()) {
        progress_.hide();
        return {};
      }
      if (auto taken = take_replies(); !taken) {
        return taken;
      }
    }
  }

  int report(bool as_json) const {
    const auto took = std::chrono::duration_cast<Seconds>(steady_clock::now() - began_);
    if (as_json) {
      std::puts(json_object({{"asked", done_},
                             {"with_policy", found_},
                             {"without", done_ - found_ - failed_},
                             {"failed", failed_},
                             {"took_s", static_cast<std::uint64_t>(took.count())}})
                    .text.c_str());
    } else {
      std::printf("%s domains asked for in %s: %s with a policy in force, %s without, %s failed\n",
                  term::count_text(done_).c_str(), span_text(took).c_str(),
                  term::count_text(found_).c_str(),
                  term::count_text(done_ - found_ - failed_).c_str(),
                  term::count_text(failed_).c_str());
    }
    return failed_ == 0 ? term::kGood : term::kTrouble;
  }

 private:
  struct Slot {
    socketmap::Client client;
    std::string key;  // asked for; empty: free
  };

  // Asks for the next domain if its time has come and a connection is free.
  Result<void, std::string> ask_next() {
    while (busy_ < slots_.size() && steady_clock::now() >= next_at_ && !lines_.at_end()) {
      auto line = lines_.next();
      if (!line) {
        if (auto filled = lines_.fill(); !filled) {
          return filled;
        }
        continue;
      }
      for (Slot& slot : slots_) {
        if (slot.key.empty()) {
          if (auto sent = slot.client.send("postfix", *line); !sent) {
            return sent;
          }
          slot.key = std::move(*line);
          break;
        }
      }
      ++busy_;
      next_at_ = std::max(next_at_ + spacing_, steady_clock::now() - spacing_);
    }
    return {};
  }

  Result<void, std::string> take_replies() {
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
        return failure(slots_[i].key + ": " + reply.error());
      }
      count(slots_[i].key, *reply);
      slots_[i].key.clear();
      --busy_;
    }
    return {};
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
    if (reply.starts_with("OK ")) {
      ++found_;
    } else if (reply != "NOTFOUND" && !reply.starts_with("NOTFOUND ") &&
               ++failed_ <= kMaxComplaints) {
      progress_.hide();
      term::trouble(printable(key) + ": " + printable(reply));
    }
    progress_.step(done_);
  }

  std::vector<Slot> slots_;
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
};

int warm(Arguments& arguments) {
  if (auto loaded = arguments.settings.load(); !loaded) {
    return term::trouble(loaded.error());
  }
  const bool from_stdin = arguments.file == "-";
  const int fd = from_stdin ? STDIN_FILENO : ::open(arguments.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return term::trouble(arguments.file + ": " + std::strerror(errno));
  }
  std::vector<socketmap::Client> clients;
  while (clients.size() < std::min<std::size_t>(kConnections, arguments.rate)) {
    auto client = socketmap::Client::connect(arguments.settings.config.socketmap.listen.front());
    if (!client) {
      return term::trouble(client.error());
    }
    clients.push_back(std::move(*client));
  }
  Warming warming(std::move(clients), fd, arguments.rate);
  const auto done = warming.run();
  const int status = warming.report(arguments.json);
  return done ? status : term::trouble(done.error());
}

}  // namespace

void add_warm(Verb& root) {
  Verb verb = root.add("warm", "make mtastsd look up a list of domains before mail goes there");
  Arguments& arguments = verb.runs(warm);
  verb.argument("FILE", arguments.file, "the domains, one a line; - is standard input");
  verb.number("--rate", arguments.rate, "NUMBER", 1, 1000, "the most domains to ask for a second");
  verb.flag("--json", arguments.json, "print the summary as a JSON object");
  arguments.settings.add_option(verb);
}

}  // namespace mtastsd::ctl
