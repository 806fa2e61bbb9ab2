#include "status.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "daemon_link.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "mtastsd/term/terminal.h"
#include "mtastsd/term/time_text.h"
#include "settings.h"

namespace mtastsd::ctl {
namespace {

using nlohmann::json;

struct Arguments {
  bool json = false;
  Settings settings;
};

std::size_t number(const json& object, const char* name) {
  return object.value(name, std::size_t{0});
}

std::string counted(const json& object, const char* name) {
  return term::count_text(number(object, name));
}

// "3 policies", "1 policy".
std::string counted(const json& object, const char* name, const char* one, const char* many) {
  return counted(object, name) + " " + (number(object, name) == 1 ? one : many);
}

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof(text), "%.1f%%", 100.0 * share);
  return text;
}

class Report {
 public:
  explicit Report(const json& status) : status_(status), terminal_(term::look_at(STDOUT_FILENO)) {}

  // Whether all is well.
  bool print() {
    daemon();
    queries();
    look_ups();
    cache();
    dns();
    failing();
    return well_;
  }

 private:
  void line(std::string_view name, const std::string& value,
            term::Colour colour = term::Colour::None) const {
    std::fputs(term::field(terminal_, name, value, colour).c_str(), stdout);
  }
  void wrong(std::string_view name, const std::string& value) {
    well_ = false;
    line(name, value, term::Colour::Red);
  }

  void daemon() const {
    line("mtastsd",
         "up since " + status_.value("started_at", "") + " (" +
             term::span_text(Seconds(status_.value("uptime_s", 0))) + "), version " +
             status_.value("version", "") + ", pid " + std::to_string(number(status_, "pid")),
         term::Colour::Green);
    const json& config = status_.at("config");
    line("Configuration", config.is_null() ? "built-in defaults" : config.get<std::string>());
    std::string listeners;
    for (const json& one : status_.at("listeners")) {
      listeners += (listeners.empty() ? "" : " ") + one.get<std::string>();
    }
    line("Listens on", listeners);
    const json& connections = status_.at("connections");
    line("Connections", counted(connections, "open") + " of " + counted(connections, "most") +
                            " open, " + counted(connections, "accepted") + " accepted, " +
                            counted(connections, "refused") + " refused; " +
                            counted(status_, "threads", "answering thread", "answering threads"));
  }

  void queries() const {
    const json& queries = status_.at("queries");
    const json& rate = queries.at("hit_rate");
    line("Queries", counted(queries, "total") + ": " + counted(queries, "enforced") +
                        " with a policy in force, " + counted(queries, "not_enforced") +
                        " not enforced, " + counted(queries, "no_policy") + " without, " +
                        counted(queries, "no_domain") + " for no domain");
    line("From the cache", rate.is_null() ? "-"
                                          : percent(rate.get<double>()) + " (" +
                                                counted(queries, "waited") + " had to wait, " +
                                                counted(queries, "timed_out") + " in vain)");
  }

  void look_ups() const {
    const json& look_ups = status_.at("look_ups");
    line("Queue", counted(look_ups, "at_work", "domain", "domains") + " being looked up");
    line("Look-ups",
         counted(look_ups, "started") + ", DNS failed " + counted(look_ups, "txt_failures") +
             "; fetches " + counted(look_ups, "fetches") + ", failed " +
             counted(look_ups, "fetch_failures") + "; refreshes " + counted(look_ups, "refreshes"));
    if (number(look_ups, "refused") > 0) {
      line("", counted(look_ups, "refused") + " refused: too many at once", term::Colour::Yellow);
    }
  }

  void cache() {
    const json& cache = status_.at("cache");
    const std::size_t most = std::max<std::size_t>(number(cache, "max_bytes"), 1);
    line("Cache", cache.value("directory", ""));
    line("", counted(cache, "policies", "policy", "policies") + ", " +
                 counted(cache, "without_policy", "domain", "domains") + " without, " +
                 counted(cache, "pending") + " waiting for the disk");
    line("",
         term::size_text(number(cache, "used_bytes")) + " of " + term::size_text(most) + " (" +
             percent(static_cast<double>(number(cache, "used_bytes")) / static_cast<double>(most)) +
             "), " + counted(cache, "evicted") + " dropped to make room");
    if (!cache.value("writable", false)) {
      wrong("", "cannot be written: new policies are lost at a restart; the log says why");
    }
    if (number(cache, "not_kept") > 0) {
      wrong("", counted(cache, "not_kept") + " results were not kept");
    }
  }

  void dns() {
    std::string_view name = "DNS servers";
    bool any_good = false;
    for (const json& server : status_.at("dns")) {
      const json& error = server.at("last_error");
      std::string text = server.value("server", "") + "  " +
                         counted(server, "answers", "answer", "answers") + ", " +
                         counted(server, "errors", "error", "errors");
      const bool bad = !error.is_null() || server.value("silent", false);
      if (server.value("silent", false)) {
        text += "; silent, asked last";
      }
      if (!error.is_null()) {
        text += "; last: " + term::printable(error.get<std::string>());
      }
      line(name, text, bad ? term::Colour::Red : term::Colour::None);
      any_good = any_good || !bad;
      name = "";
    }
    well_ = well_ && any_good;
  }

  void failing() {
    const json& failing = status_.at("failing_refreshes");
    const std::size_t count = number(failing, "count");
    if (count == 0) {
      line("Failing", "no refresh fails");
      return;
    }
    wrong("Failing", counted(failing, "count", "policy", "policies") + " cannot be refreshed:");
    for (const json& one : failing.at("first")) {
      line("", one.value("domain", "") + " (until " + one.value("expires_at", "") +
                   "): " + term::printable(one.value("detail", "")));
    }
    if (failing.at("first").size() < count) {
      line("", "... \"mtastsctl cache list --failing\" has all");
    }
  }

  const json& status_;
  const term::Terminal terminal_;
  bool well_ = true;
};

int status(Arguments& arguments) {
  if (auto loaded = arguments.settings.load(); !loaded) {
    return term::trouble(loaded.error());
  }
  auto link = DaemonLink::connect(arguments.settings);
  if (!link) {
    const bool down = link.error().problem == DaemonLink::Problem::NotRunning;
    if (down && arguments.json) {
      std::puts(control::to_line({{"running", false}}).c_str());
    }
    term::trouble(link.error().message + (down ? ": is it running? its log says why not" : ""));
    return down ? term::kNotFound : term::kTrouble;
  }
  const auto reply = link->ask({{"command", "status"}});
  if (!reply) {
    return term::trouble(reply.error().message);
  }
  json status = reply->at("status");
  if (arguments.json) {
    status["running"] = true;
    std::puts(control::to_line(status).c_str());
    return term::kGood;
  }
  return Report(status).print() ? term::kGood : term::kNotFound;
}

}  // namespace

void add_status(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("status", "what the running mtastsd is doing");
  verb->add_flag("--json", arguments->json, "one JSON object");
  arguments->settings.add_option(*verb);
  verb->callback([arguments, &run] { run = [arguments] { return status(*arguments); }; });
}

}  // namespace mtastsd::ctl
