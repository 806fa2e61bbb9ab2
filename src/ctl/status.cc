#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "stored.h"
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

class Report {
 public:
  explicit Report(const Status& status) : status_(status) {}

  // False: something is wrong that the operator should look at.
  bool print() {
    daemon();
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
                            "that is not enforced, {} under an override, {} without "
                            "a policy, {} for keys that name no domain",
                            count_text(queries.total), count_text(queries.enforced),
                            count_text(queries.dane), count_text(queries.not_enforced),
                            count_text(queries.overridden), count_text(queries.no_policy),
                            count_text(queries.no_domain)));
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
    const Status::FailingRefreshes& failing = status_.failing_refreshes;
    const std::uint64_t overdue = status_.overdue_refreshes;
    if (overdue > 0) {
      wrong("Overdue",
            counted(overdue, "policy", "policies") + " in force waited too long for a refresh");
    }
    if (failing.count == 0) {
      print_field("Failing", "no refresh fails");
      return;
    }
    wrong("Failing", counted(failing.count, "policy", "policies") + " cannot be refreshed:");
    for (const Status::FailingRefresh& one : failing.first) {
      print_field("", one.domain + " (expires " + date_text(one.expires_at) +
                          "): " + printable(one.detail));
    }
    if (failing.first.size() < failing.count) {
      print_field("", "\"mtastsctl cache list --failing\" lists them all");
    }
  }

  const Status& status_;
  bool well_ = true;
};

int status(Arguments& arguments) {
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
  arguments.settings.add_option(verb);
  verb.footer(
      "Examples:\n"
      "  mtastsctl status\n"
      "  mtastsctl status --json");
}

}  // namespace mtastsd::ctl
