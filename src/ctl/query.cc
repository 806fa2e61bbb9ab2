// Many keys are asked over one connection, some of them at once. Replies come in the order of the
// questions, so one that has to be looked up holds back those behind it.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "json.h"
#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/socketmap/client.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "settings.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kInFlight = 32;
constexpr std::size_t kMaxKeyBytes = 4096;
constexpr int kTickMilliseconds = 100;

struct Arguments {
  std::vector<std::string> keys;
  std::string server;
  std::string map = "postfix";
  bool json = false;
  bool verbose = false;
  Settings settings;
};

struct Question {
  std::string key;
  SteadyTime asked_at;
};

class Query {
 public:
  Query(const Arguments& arguments, socketmap::Client client)
      : arguments_(arguments),
        client_(std::move(client)),
        waiting_(arguments.keys.begin(), arguments.keys.end()),
        from_stdin_(arguments.keys.size() == 1 && arguments.keys.front() == "-"),
        lines_(STDIN_FILENO, kMaxKeyBytes),
        many_(from_stdin_ || waiting_.size() > 1),
        progress_("asking mtastsd", from_stdin_ ? std::nullopt : std::optional(waiting_.size())) {
    if (from_stdin_) {
      waiting_.clear();
    }
  }

  int run() {
    while (true) {
      if (auto asked = ask_more(); !asked) {
        return term::trouble(asked.error());
      }
      if (in_flight_.empty() && waiting_.empty() && (!from_stdin_ || lines_.at_end())) {
        progress_.hide();
        return status_;
      }
      if (!in_flight_.empty() && !wants_line()) {
        if (auto taken = take_reply(); !taken) {
          progress_.hide();
          return term::trouble(taken.error());
        }
      }
    }
  }

 private:
  Result<void, std::string> ask_more() {
    while (in_flight_.size() < kInFlight) {
      if (from_stdin_ && waiting_.empty()) {
        if (auto filled = read_lines(); !filled) {
          return filled;
        }
      }
      if (waiting_.empty()) {
        break;
      }
      if (auto sent = client_.send(arguments_.map, waiting_.front()); !sent) {
        return sent;
      }
      in_flight_.push_back({waiting_.front(), std::chrono::steady_clock::now()});
      waiting_.pop_front();
    }
    return {};
  }

  // Takes a line that is there, or waits for one if nothing else can be waited for.
  Result<void, std::string> read_lines() {
    if (auto line = lines_.next()) {
      waiting_.push_back(std::move(*line));
      return {};
    }
    if (lines_.at_end() || (!in_flight_.empty() && !readable(lines_.fd()))) {
      return {};
    }
    if (auto filled = lines_.fill(); !filled) {
      return failure("standard input: " + filled.error());
    }
    if (auto line = lines_.next()) {
      waiting_.push_back(std::move(*line));
    }
    return {};
  }

  static bool readable(int fd) {
    pollfd watch{fd, POLLIN, 0};
    return ::poll(&watch, 1, 0) > 0;
  }

  // Waits for a line or a reply: whether it is a line that came first.
  bool wants_line() {
    if (!from_stdin_ || lines_.at_end() || in_flight_.size() >= kInFlight ||
        client_.reply_ready()) {
      return false;
    }
    pollfd watches[] = {{client_.fd(), POLLIN, 0}, {lines_.fd(), POLLIN, 0}};
    while (::poll(watches, 2, kTickMilliseconds) == 0) {
      progress_.tick();
    }
    return watches[0].revents == 0;
  }

  Result<void, std::string> take_reply() {
    const auto reply = client_.receive([this] { progress_.tick(); });
    if (!reply) {
      return failure(in_flight_.front().key + ": " + reply.error());
    }
    const Question question = std::move(in_flight_.front());
    in_flight_.pop_front();
    progress_.hide();
    show(question, *reply);
    progress_.step(++answered_);
    return {};
  }

  void show(const Question& question, const std::string& reply) {
    const auto took = std::chrono::steady_clock::now() - question.asked_at;
    const double ms = std::chrono::duration<double, std::milli>(took).count();
    const bool not_found = reply == "NOTFOUND" || reply.starts_with("NOTFOUND ");
    const bool found = reply.starts_with("OK ");
    status_ = std::max(status_, found ? term::kGood : not_found ? term::kNotFound : term::kTrouble);
    if (arguments_.json) {
      const Json value = found ? json_text(reply.substr(3)) : null();
      std::puts(json_object({{"domain", question.key},
                             {"map", arguments_.map},
                             {"status", reply.substr(0, reply.find(' '))},
                             {"value", value},
                             {"reply", reply},
                             {"took_ms", ms}})
                    .text.c_str());
    } else {
      std::string line = many_ ? printable(question.key) + "\t" : "";
      line += not_found ? "NOTFOUND" : printable(reply);
      if (arguments_.verbose) {
        char time[32];
        std::snprintf(time, sizeof(time), "\t%.1f ms", ms);
        line += time;
      }
      std::printf("%s\n", line.c_str());
    }
    std::fflush(stdout);
  }

  const Arguments& arguments_;
  socketmap::Client client_;
  std::deque<std::string> waiting_;
  const bool from_stdin_;
  Lines lines_;
  const bool many_;
  term::Progress progress_;
  std::deque<Question> in_flight_;
  std::size_t answered_ = 0;
  int status_ = term::kGood;
};

int query(Arguments& arguments) {
  for (const std::string& key : arguments.keys) {
    if (key.size() > 1 && key.starts_with('-')) {
      return term::trouble("query: '" + key + "' is neither an option nor a key: see --help");
    }
  }
  if (arguments.map.empty() || arguments.map.find_first_of(" :") != std::string::npos) {
    return term::trouble("--map: '" + arguments.map +
                         "' is not a map name: it may not be empty, nor have spaces or colons");
  }
  config::ListenAddress server;
  if (arguments.server.empty()) {
    if (auto loaded = arguments.settings.load(); !loaded) {
      return term::trouble(loaded.error() +
                           ": correct it, or say with --server where mtastsd listens");
    }
    server = arguments.settings.config.socketmap.listen.front();
  } else if (const auto given = config::parse_listen(arguments.server); given) {
    server = *given;
  } else {
    return term::trouble("--server: '" + arguments.server + "' " + given.error());
  }
  auto client = socketmap::Client::connect(server);
  if (!client) {
    return term::trouble(client.error());
  }
  return Query(arguments, std::move(*client)).run();
}

}  // namespace

void add_query(Verb& root) {
  Verb verb = root.add("query", "ask mtastsd as Postfix does, and print its reply");
  Arguments& arguments = verb.runs(query);
  verb.keys("DOMAIN", arguments.keys,
            "a domain, or a next-hop such as [relay.example]:587; more may follow; - reads them "
            "from standard input, one a line");
  verb.option("--server", arguments.server, "ADDR",
              "where mtastsd listens: inet:HOST:PORT or unix:PATH (default: where its "
              "configuration says)");
  verb.option("--map", arguments.map, "NAME", "the socketmap name, as in main.cf");
  verb.flag("--json", arguments.json, "print one JSON object a line");
  verb.flag("-v,--verbose", arguments.verbose, "print how long each reply took");
  arguments.settings.add_option(verb);
}

}  // namespace mtastsd::ctl
