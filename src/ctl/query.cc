// Many keys are asked over one connection, some of them at once. Replies come in the order of the
// questions, so one that has to be looked up holds back those behind it.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/socketmap/client.h"
#include "mtastsd/term/exit_status.h"
#include "stored.h"
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
    for (;;) {
      ask_more();
      if (in_flight_.empty() && waiting_.empty() && (!from_stdin_ || lines_.at_end())) {
        return status_;
      }
      if (!in_flight_.empty() && !wants_line()) {
        take_reply();
      }
    }
  }

 private:
  void ask_more() {
    while (in_flight_.size() < kInFlight) {
      if (from_stdin_ && waiting_.empty()) {
        read_line();
      }
      if (waiting_.empty()) {
        break;
      }
      need(client_.send(arguments_.map, waiting_.front()));
      in_flight_.push_back({waiting_.front(), std::chrono::steady_clock::now()});
      waiting_.pop_front();
    }
  }

  // Takes a line that is there, or waits for one if there is nothing else to wait for.
  void read_line() {
    std::optional<std::string> line = lines_.next();
    if (!line && !lines_.at_end() && (in_flight_.empty() || readable(lines_.fd()))) {
      lines_.fill();
      line = lines_.next();
    }
    if (line) {
      waiting_.push_back(std::move(*line));
    }
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

  void take_reply() {
    const auto reply = client_.receive([this] { progress_.tick(); });
    if (!reply) {
      throw Trouble(in_flight_.front().key + ": " + reply.error());
    }
    progress_.hide();
    show(in_flight_.front(), *reply);
    in_flight_.pop_front();
    progress_.step(++answered_);
  }

  void show(const Question& question, const std::string& reply) {
    const auto took = std::chrono::steady_clock::now() - question.asked_at;
    const double ms = std::chrono::duration<double, std::milli>(took).count();
    const int status = status_of(reply);
    const bool found = status == term::kGood;
    status_ = std::max(status_, status);
    if (arguments_.json) {
      print_line({{"domain", question.key},
                  {"map", arguments_.map},
                  {"status", reply.substr(0, reply.find(' '))},
                  {"value", found ? nlohmann::json(reply.substr(3)) : nullptr},
                  {"reply", reply},
                  {"took_ms", ms}});
    } else {
      std::string line = many_ ? printable(question.key) + "\t" : "";
      line += status == term::kNotFound ? "NOTFOUND" : printable(reply);
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

config::ListenAddress server_of(Arguments& arguments) {
  if (!arguments.server.empty()) {
    const auto given = config::parse_listen(arguments.server);
    return given ? *given : throw Trouble("--server: '" + arguments.server + "' " + given.error());
  }
  try {
    arguments.settings.load();
  } catch (const Trouble& trouble) {
    throw Trouble(std::string(trouble.what()) +
                  ": correct it, or say with --server where mtastsd listens");
  }
  return arguments.settings.config.socketmap.listen.front();
}

int query(Arguments& arguments) {
  for (const std::string& key : arguments.keys) {
    if (key.size() > 1 && key.starts_with('-')) {
      throw Trouble("query: '" + key + "' is neither an option nor a key: see --help");
    }
  }
  if (arguments.map.empty() || arguments.map.find_first_of(" :") != std::string::npos) {
    throw Trouble("--map: '" + arguments.map +
                  "' is not a map name: it may not be empty, nor have spaces or colons");
  }
  return Query(arguments, need(socketmap::Client::connect(server_of(arguments)))).run();
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
  verb.footer(
      "Examples:\n"
      "  mtastsctl query example.com\n"
      "  mtastsctl query --map QUERYwithTLSRPT '[relay.example]:587'\n"
      "  mtastsctl query -v - < domains");
}

}  // namespace mtastsd::ctl
