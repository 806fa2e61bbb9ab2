#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "daemon.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "mtastsd/term/terminal.h"
#include "settings.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

using control::Status;
using term::count_text;

struct Arguments {
  bool json = false;
  Settings settings;
};

// "3 policies", "1 policy".
std::string counted(std::uint64_t count, const char* one, const char* many) {
  return count_text(count) + " " + (count == 1 ? one : many);
}

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof(text), "%.1f%%", 100.0 * share);
  return text;
}

class Report {
 public:
  explicit Report(const Status& status)
      : status_(status), terminal_(term::look_at(STDOUT_FILENO)) {}

  // False: something is wrong that the operator should look at.
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
         "running since " + date_text(status_.started_at) + " (" + span_text(status_.uptime_s) +
             "), version " + status_.version + ", pid " + std::to_string(status_.pid),
         term::Colour::Green);
    line("Configuration", status_.config.value_or("built-in defaults"));
    std::string listeners;
    for (const std::string& one : status_.listeners) {
      listeners += (listeners.empty() ? "" : " ") + one;
    }
    line("Listens on", listeners);
    const Status::Connections& connections = status_.connections;
    line("Connections", count_text(connections.open) + " of " + count_text(connections.most) +
                            " open; " + count_text(connections.accepted) + " accepted, " +
                            count_text(connections.refused) + " refused, on " +
                            counted(status_.threads, "answering thread", "answering threads"));
    if (connections.malformed > 0) {
      line("",
           counted(connections.malformed, "connection", "connections") +
               " closed: what came was not the socketmap protocol",
           term::Colour::Yellow);
    }
  }

  void queries() const {
    const Status::Queries& queries = status_.queries;
    line("Queries", count_text(queries.total) + ": " + count_text(queries.enforced) +
                        " with a policy in force, " + count_text(queries.not_enforced) +
                        " with a policy that is not enforced, " + count_text(queries.no_policy) +
                        " without a policy, " + count_text(queries.no_domain) +
                        " for keys that name no domain");
    if (queries.hit_rate) {
      line("From the cache", percent(*queries.hit_rate) + "; " + count_text(queries.waited) +
                                 " waited for a lookup, " + count_text(queries.timed_out) +
                                 " of them timed out");
    }
  }

  void look_ups() const {
    const Status::LookUps& look_ups = status_.look_ups;
    line("Lookups", count_text(look_ups.started) + " started, " + count_text(look_ups.at_work) +
                        " at work; " + counted(look_ups.joined, "query", "queries") +
                        " joined one; DNS failed for " + count_text(look_ups.txt_failures));
    line("Fetches", count_text(look_ups.fetches) + ", " + count_text(look_ups.fetch_failures) +
                        " of them failed; " + counted(look_ups.refreshes, "refresh", "refreshes"));
    if (look_ups.refused > 0) {
      line("", counted(look_ups.refused, "lookup", "lookups") + " refused: too many at once",
           term::Colour::Yellow);
    }
  }

  void cache() {
    const Status::Cache& cache = status_.cache;
    line("Cache", cache.directory);
    line("", counted(cache.policies, "policy", "policies") + ", " +
                 counted(cache.without_policy, "domain", "domains") + " without one, " +
                 counted(cache.pending, "change", "changes") + " not yet on disk");
    line("", term::size_text(cache.used_bytes) + " of " + term::size_text(cache.max_bytes) + " (" +
                 percent(static_cast<double>(cache.used_bytes) /
                         static_cast<double>(std::max<std::uint64_t>(cache.max_bytes, 1))) +
                 "), " + counted(cache.evicted, "entry", "entries") + " evicted");
    if (!cache.writable) {
      wrong("", "cannot be written: new policies are lost at a restart. The log says why.");
    }
    if (cache.not_kept > 0) {
      wrong("", counted(cache.not_kept, "result was", "results were") +
                    " not kept: too much waits for the disk");
    }
  }

  void dns() {
    std::string_view name = "DNS servers";
    bool any_good = false;
    for (const Status::DnsServer& server : status_.dns) {
      std::string text = server.server + "  " + counted(server.answers, "answer", "answers") +
                         ", " + counted(server.errors, "error", "errors");
      if (server.silent) {
        text += "; it does not answer and is asked last";
      }
      if (server.last_error) {
        text += "; last error: " + printable(*server.last_error);
      }
      const bool bad = server.last_error || server.silent;
      line(name, text, bad ? term::Colour::Red : term::Colour::None);
      any_good = any_good || !bad;
      name = "";
    }
    well_ = well_ && any_good;
  }

  void failing() {
    const Status::FailingRefreshes& failing = status_.failing_refreshes;
    if (failing.count == 0) {
      line("Failing", "no refresh fails");
      return;
    }
    wrong("Failing", counted(failing.count, "policy", "policies") + " cannot be refreshed:");
    for (const Status::FailingRefresh& one : failing.first) {
      line("",
           one.domain + " (expires " + date_text(one.expires_at) + "): " + printable(one.detail));
    }
    if (failing.first.size() < failing.count) {
      line("", "\"mtastsctl cache list --failing\" lists them all");
    }
  }

  const Status& status_;
  const term::Terminal terminal_;
  bool well_ = true;
};

int status(Arguments& arguments) {
  if (auto loaded = arguments.settings.load(); !loaded) {
    return term::trouble(loaded.error());
  }
  auto daemon = connect_to_daemon(arguments.settings);
  if (!daemon) {
    if (daemon.error().problem != control::Error::Problem::NoDaemon) {
      return term::trouble(daemon.error().message);
    }
    if (arguments.json) {
      std::puts("{\"running\":false}");
    }
    term::trouble(daemon.error().message + ": is it running? If it failed, its log says why");
    return term::kNotFound;
  }
  const auto status = daemon->ask(control::StatusRequest{});
  if (!status) {
    return term::trouble(status.error().message);
  }
  if (arguments.json) {
    std::puts(control::to_json(*status).c_str());
    return term::kGood;
  }
  return Report(*status).print() ? term::kGood : term::kNotFound;
}

}  // namespace

void add_status(Verb& root) {
  Verb verb = root.add("status", "show what the running mtastsd is doing");
  Arguments& arguments = verb.runs(status);
  verb.flag("--json", arguments.json, "print one JSON object");
  arguments.settings.add_option(verb);
}

}  // namespace mtastsd::ctl
