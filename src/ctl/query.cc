// Many domains go over one connection, with some under way at once; replies come in the order of
// the questions, so one that has to be found out holds back what is behind it.

#include "query.h"

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lines.h"
#include "mtastsd/socketmap/client.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "settings.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kInFlight = 32;
constexpr std::size_t kMaxKeyBytes = 4096;
constexpr int kTickMilliseconds = 100;

struct Arguments {
  std::string first;
  std::vector<std::string> domains;  // all of them, once looked at
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
        waiting_(arguments.domains.begin(), arguments.domains.end()),
        from_stdin_(arguments.domains.size() == 1 && arguments.domains.front() == "-"),
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
      const nlohmann::json line = {
          {"domain", question.key},
          {"map", arguments_.map},
          {"status", reply.substr(0, reply.find(' '))},
          {"value", found ? nlohmann::json(reply.substr(3)) : nlohmann::json(nullptr)},
          {"reply", reply},
          {"took_ms", ms}};
      std::printf("%s\n",
                  line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    } else {
      std::string line = many_ ? term::printable(question.key) + "\t" : "";
      line += not_found ? "NOTFOUND" : term::printable(reply);
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
  for (const std::string& domain : arguments.domains) {
    if (domain.starts_with('-')) {
      return term::trouble("query: " + domain + " is no option, and no key: see --help");
    }
  }
  arguments.domains.insert(arguments.domains.begin(), arguments.first);
  if (arguments.map.empty() || arguments.map.find_first_of(" :") != std::string::npos) {
    return term::trouble("--map: a map name has no blank and no colon in it");
  }
  config::ListenAddress server;
  if (arguments.server.empty()) {
    if (auto loaded = arguments.settings.load(); !loaded) {
      return term::trouble(loaded.error() +
                           ": correct it, or say where mtastsd listens by --server");
    }
    server = arguments.settings.config.socketmap.listen.front();
  } else if (const auto given = config::parse_listen(arguments.server); given) {
    server = *given;
  } else {
    return term::trouble("--server " + arguments.server + ": " + given.error());
  }
  auto client = socketmap::Client::connect(server);
  if (!client) {
    return term::trouble(client.error());
  }
  return Query(arguments, std::move(*client)).run();
}

}  // namespace

void add_query(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("query", "ask mtastsd as Postfix does and print its reply");
  verb->add_option("DOMAIN", arguments->first,
                   "the key: a domain, or a next-hop such as [relay.example]:587; there may be "
                   "several; - reads keys from standard input, one a line")
      ->required();
  // CLI11 takes "[relay.example]" for a list where an option has several values.
  verb->allow_extras();
  verb->add_option("--server", arguments->server,
                   "where mtastsd listens: inet:HOST:PORT or unix:PATH (default: where its "
                   "configuration says)")
      ->type_name("ADDR");
  verb->add_option("--map", arguments->map, "the socketmap name, as in main.cf")
      ->type_name("NAME")
      ->capture_default_str();
  verb->add_flag("--json", arguments->json, "one JSON object a line");
  verb->add_flag("-v,--verbose", arguments->verbose, "with the time each reply took");
  arguments->settings.add_option(*verb);
  verb->callback([arguments, verb, &run] {
    arguments->domains = verb->remaining();
    run = [arguments] { return query(*arguments); };
  });
}

}  // namespace mtastsd::ctl
