#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>

#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/control/readiness.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "plugin.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

using control::Status;
using term::count_text;

// A daemon that does not hang replies at once. Less than the 10 seconds that NRPE waits.
constexpr std::chrono::seconds kPluginPatience{8};
constexpr std::chrono::milliseconds kReadyPoll{200};
constexpr unsigned kMostReadySeconds = 3600;

struct Arguments {
  bool json = false;
  bool nagios = false;
  unsigned wait_ready = 0;  // seconds; 0: not given
  Settings settings;
};

// "3 policies", "1 policy".
std::string counted(std::uint64_t count, const char* one, const char* many) {
  return count_text(count) + " " + (count == 1 ? one : many);
}

class Report {
 public:
  explicit Report(const Status& status) : status_(status) {}

  // False: something is wrong that the operator should look at.
  bool print() {
    daemon();
    observing();
    queries();
    overrides();
    look_ups();
    cache();
    dns();
    authorities();
    failing();
    return well_;
  }

 private:
  void wrong(std::string_view name, const std::string& value) {
    well_ = false;
    print_field(name, value, term::Colour::Red);
  }

  void daemon() const {
    print_field(
        "mtastsd",
        fmt::format("running since {} ({}), version {}, pid {}", date_text(status_.started_at),
                    span_text(status_.uptime_s), status_.version, status_.pid),
        term::Colour::Green);
    print_field("Configuration", status_.config.value_or("built-in defaults"));
    print_field("Listens on", joined(status_.listeners, " "));
    const Status::Connections& connections = status_.connections;
    print_field("Connections",
                fmt::format("{} of {} open; {} accepted, {} refused, on {}",
                            count_text(connections.open), count_text(connections.most),
                            count_text(connections.accepted), count_text(connections.refused),
                            counted(status_.threads, "answering thread", "answering threads")));
    print_closed(connections.malformed, "what came was not the socketmap protocol");
    print_closed(connections.stalled, "only half a request came, or a reply was not taken");
    print_closed(connections.greedy, "too many bytes waited for them");
  }

  void observing() const {
    const auto& maps = status_.observing;
    if (!maps.empty()) {
      print_field("Only observes",
                  (status_.nothing_enforced ? "every map: NO POLICY IS ENFORCED"
                                            : joined(maps, " ") + ": they enforce no policy") +
                      std::string(". See \"mtastsctl observe report\""),
                  term::Colour::Red);
    }
  }

  static void print_closed(std::uint64_t count, std::string_view reason) {
    if (count > 0) {
      print_field("",
                  fmt::format("{} closed: {}", counted(count, "connection", "connections"), reason),
                  term::Colour::Yellow);
    }
  }

  void queries() const {
    const Status::Queries& queries = status_.queries;
    print_field("Queries",
                fmt::format("{}: {} with a policy in force, {} with DANE instead, {} with a policy "
                            "that is not enforced, {} under an override, {} only "
                            "observed, {} without a policy, {} for keys that name no domain",
                            count_text(queries.total), count_text(queries.enforced),
                            count_text(queries.dane), count_text(queries.not_enforced),
                            count_text(queries.overridden), count_text(queries.observed),
                            count_text(queries.no_policy), count_text(queries.no_domain)));
    if (queries.hit_rate) {
      print_field("From the cache",
                  fmt::format("{:.1f}%; {} waited for a lookup, {} of them timed out",
                              100.0 * *queries.hit_rate, count_text(queries.waited),
                              count_text(queries.timed_out)));
    }
  }

  void overrides() const {
    const Status::Overrides& overrides = status_.overrides;
    if (overrides.in_force > 0) {
      print_field(
          "Overrides",
          count_text(overrides.in_force) + " in force" +
              (overrides.next_end ? "; the next one ends " +
                                        relative_text(*overrides.next_end, SystemClock().wall())
                                  : "") +
              ": see \"mtastsctl override list\"",
          term::Colour::Yellow);
    }
  }

  void look_ups() const {
    const Status::LookUps& look_ups = status_.look_ups;
    print_field("Lookups", fmt::format("{} started, {} at work; {} joined one; DNS failed for {}",
                                       count_text(look_ups.started), count_text(look_ups.at_work),
                                       counted(look_ups.joined, "query", "queries"),
                                       count_text(look_ups.txt_failures)));
    print_field("Fetches", fmt::format("{}, {} of them failed; {}", count_text(look_ups.fetches),
                                       count_text(look_ups.fetch_failures),
                                       counted(look_ups.refreshes, "refresh", "refreshes")));
    if (look_ups.dane_surveys > 0) {
      print_field(
          "DANE",
          fmt::format("{}; DNS failed for {}, of which {} had to be answered without "
                      "knowing whether DANE applies",
                      counted(look_ups.dane_surveys, "survey", "surveys"),
                      count_text(look_ups.dane_failures), count_text(look_ups.dane_unknown)));
    }
    if (look_ups.refused > 0) {
      print_field("", counted(look_ups.refused, "lookup", "lookups") + " refused: too many at once",
                  term::Colour::Yellow);
    }
  }

  void cache() {
    const Status::Cache& cache = status_.cache;
    print_field("Cache", cache.directory);
    print_field("", fmt::format("{}, {} without one, {} not yet on disk",
                                counted(cache.policies, "policy", "policies"),
                                counted(cache.without_policy, "domain", "domains"),
                                counted(cache.pending, "change", "changes")));
    print_field("", term::usage_text(cache.used_bytes, cache.max_bytes) + ", " +
                        counted(cache.evicted, "entry", "entries") + " evicted");
    if (!cache.writable) {
      wrong("", "cannot be written: new policies are lost at a restart. The log says why.");
    }
    if (cache.not_kept > 0) {
      wrong("", counted(cache.not_kept, "result was", "results were") +
                    " not kept: too much waits for the disk");
    }
  }

  static std::string dnssec_text(const Status::DnsServer& server) {
    if (!server.validates) {
      return "";
    }
    return !*server.validates ? "; does not validate DNSSEC, so DANE is not known"
           : server.trusted   ? "; validates DNSSEC"
                              : "; is not on this host, so its word on DNSSEC does not count";
  }

  void dns() {
    std::string_view name = "DNS servers";
    bool any_good = false;
    for (const Status::DnsServer& server : status_.dns) {
      std::string text = server.server + "  " + counted(server.answers, "answer", "answers") +
                         ", " + counted(server.errors, "error", "errors");
      text += dnssec_text(server);
      if (server.silent) {
        text += "; it does not answer and is asked last";
      }
      if (server.last_error) {
        text += "; last error: " + printable(*server.last_error);
      }
      const bool bad = server.last_error || server.silent;
      print_field(name, text, bad ? term::Colour::Red : term::Colour::None);
      any_good = any_good || !bad;
      name = "";
    }
    well_ = well_ && any_good;
    dns_failures();
  }

  void dns_failures() const {
    const Status::DnsFailures& failures = status_.dns_failures;
    std::string text;
    for (const auto& [count, kind] :
         {std::pair(failures.timeout, "no answer in time"),
          std::pair(failures.servfail, "SERVFAIL"), std::pair(failures.refused, "refused"),
          std::pair(failures.not_understood, "not understood by the server"),
          std::pair(failures.malformed, "answer malformed"),
          std::pair(failures.network, "no server reachable"),
          std::pair(failures.too_many, "too many at once")}) {
      if (count > 0) {
        text += (text.empty() ? "" : ", ") + count_text(count) + " " + kind;
      }
    }
    if (!text.empty()) {
      print_field("Failed lookups", text, term::Colour::Yellow);
    }
  }

  void authorities() {
    if (!status_.ca_problem) {
      print_field("Authorities", printable(status_.ca_source.value_or("none")));
    } else {
      wrong("Authorities", "the CA file is of no use: " + printable(*status_.ca_problem));
    }
  }

  void failing() {
    const Status::Failing& failing = status_.failing;
    const std::uint64_t overdue = status_.overdue_refreshes;
    if (overdue > 0) {
      wrong("Overdue",
            counted(overdue, "policy", "policies") + " in force waited too long for a refresh");
    }
    if (status_.mx_mismatches > 0) {
      wrong("MX hosts", counted(status_.mx_mismatches, "domain has", "domains have") +
                            " no MX host that matches the policy, so mail is deferred: see "
                            "\"mtastsctl cache list --mx-mismatch\"");
    }
    if (status_.ending_soon > 0) {
      wrong("Ending", counted(status_.ending_soon, "policy ends", "policies end") +
                          " within two days and cannot be refreshed: see \"mtastsctl cache list "
                          "--failing --expiring 2d\"");
    }
    if (failing.count == 0) {
      print_field("Failing", failing.complete ? "none: every policy can be had and renewed"
                                              : "none in the part of the cache that was read");
      return;
    }
    const std::string text = std::string(failing.complete ? "" : "at least ") +
                             counted(failing.count, "domain", "domains") + ", " +
                             count_text(failing.in_force) +
                             " of them with a policy in force that cannot be renewed:";
    if (failing.in_force > 0) {
      wrong("Failing", text);
    } else {
      print_field("Failing", text, term::Colour::Yellow);  // the domains are at fault
    }
    for (const Status::FailingDomain& one : failing.first) {
      print_field("", one.domain +
                          (one.expires_at ? " (expires " + date_text(*one.expires_at) + ")" : "") +
                          ": " + printable(one.detail));
    }
    if (failing.first.size() < failing.count) {
      print_field("", "\"mtastsctl cache list --failing\" lists them all");
    }
  }

  const Status& status_;
  bool well_ = true;
};

// Without a control socket, nothing can be said of the daemon, however long one waits.
void load_with_control(Settings& settings) {
  settings.load();
  if (settings.config.control.socket.empty()) {
    throw Trouble("the configuration has no control socket: set [control] socket");
  }
}

// The error is a sentence.
Result<Status, std::string> ask_until(control::Client& daemon, SteadyTime deadline) {
  try {
    return need(daemon.ask(control::StatusRequest{}, [deadline] {
      if (std::chrono::steady_clock::now() >= deadline) {
        throw Trouble("mtastsd runs and does not reply");
      }
    }));
  } catch (const Trouble& trouble) {
    return failure(std::string(trouble.what()));
  }
}

PluginResult ask_for_plugin(Settings& settings) {
  try {
    load_with_control(settings);
    auto daemon = connect_to_daemon(settings);
    if (!daemon) {
      return plugin_result(Health::Critical, daemon.error());
    }
    const auto status = ask_until(*daemon, std::chrono::steady_clock::now() + kPluginPatience);
    return status ? plugin_result(*status) : plugin_result(Health::Critical, status.error());
  } catch (const Trouble& trouble) {
    return plugin_result(Health::Unknown, trouble.what());
  }
}

std::optional<std::string> ask_whether_ready(const Settings& settings, SteadyTime deadline) {
  auto daemon = connect_to_daemon(settings);
  if (!daemon) {
    return daemon.error();
  }
  const auto status = ask_until(*daemon, deadline);
  return status ? control::not_ready(*status) : status.error();
}

int wait_until_ready(Arguments& arguments) {
  const SteadyTime deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(arguments.wait_ready);
  load_with_control(arguments.settings);
  for (;;) {
    const auto reason = ask_whether_ready(arguments.settings, deadline);
    if (!reason) {
      return term::kGood;
    }
    if (std::chrono::steady_clock::now() + kReadyPoll >= deadline) {
      term::trouble(fmt::format("not ready after {}: {}",
                                counted(arguments.wait_ready, "second", "seconds"),
                                printable(*reason)));
      return term::kNotFound;
    }
    std::this_thread::sleep_for(kReadyPoll);
  }
}

int status(Arguments& arguments) {
  if (int{arguments.json} + int{arguments.nagios} + int{arguments.wait_ready > 0} > 1) {
    throw Trouble("status: give one of --json, --nagios and --wait-ready");
  }
  if (arguments.nagios) {
    const PluginResult result = ask_for_plugin(arguments.settings);
    std::puts(result.line.c_str());
    return static_cast<int>(result.health);
  }
  if (arguments.wait_ready > 0) {
    return wait_until_ready(arguments);
  }
  arguments.settings.load();
  auto daemon = connect_to_daemon(arguments.settings);
  if (!daemon) {
    if (arguments.json) {
      std::puts("{\"running\":false}");
    }
    term::trouble(daemon.error() + ": is it running? If it failed, its log says why");
    return term::kNotFound;
  }
  const Status status = need(daemon->ask(control::StatusRequest{}));
  if (arguments.json) {
    std::puts(control::to_json(status).c_str());
    return term::kGood;
  }
  return Report(status).print() ? term::kGood : term::kNotFound;
}

}  // namespace

void add_status(Verb& root) {
  Verb verb = root.add("status", "show what the running mtastsd is doing");
  Arguments& arguments = verb.runs(status);
  verb.flag("--json", arguments.json, "print one JSON object");
  verb.flag("--nagios", arguments.nagios,
            "print a line and exit as a plugin of Nagios or Icinga does");
  verb.number("--wait-ready", arguments.wait_ready, "SECONDS", 1, kMostReadySeconds,
              "print nothing, and wait until mtastsd is ready");
  arguments.settings.add_option(verb);
  verb.footer(
      "Examples:\n"
      "  mtastsctl status\n"
      "  mtastsctl status --json\n"
      "  mtastsctl status --wait-ready 30");
}

}  // namespace mtastsd::ctl
