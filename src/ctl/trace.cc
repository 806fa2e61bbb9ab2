#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "mtastsd/base/text.h"
#include "mtastsd/config/config.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

constexpr Milliseconds kLongest{3600000};  // that the daemon traces
constexpr std::size_t kTimeBegin = 11;     // "2026-01-01T12:00:00.123Z"
constexpr std::size_t kTimeLength = 12;

struct Arguments {
  std::string domain;
  std::string time = "10m";
  unsigned lines = 0;  // 0: as many as come
  bool json = false;
  Settings settings;
};

std::string value_text(const nlohmann::ordered_json& value) {
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  const bool plain = !text.empty() && text.find_first_of(" =\"") == std::string::npos;
  return plain ? printable(text) : "\"" + printable(text) + "\"";
}

// "12:00:00.123 record_looked_up result=found id=1": without what is the same in each line.
std::string line_of(const term::Terminal& terminal, const std::string& event) {
  const auto object = nlohmann::ordered_json::parse(event);
  std::string line =
      object.at("time").get<std::string>().substr(kTimeBegin, kTimeLength) + " " +
      term::paint(terminal, term::Colour::Bold, object.at("event").get<std::string>());
  for (const auto& [key, value] : object.items()) {
    const bool shown =
        key != "time" && key != "level" && key != "event" && key != "domain" && key != "message";
    line += shown ? " " + key + "=" + value_text(value) : "";
  }
  return line;
}

int trace(Arguments& arguments) {
  arguments.settings.load();
  const DomainName domain = domain_of(arguments.domain);
  const auto time = config::parse_duration(arguments.time);
  if (!time || *time > kLongest) {
    throw Trouble("--for: " + in_quotes(arguments.time) + " is no time of up to 1h, such as 10m");
  }
  auto daemon = connect_to_daemon(arguments.settings);
  if (!daemon) {
    throw Trouble(daemon.error() + ": a trace needs a running daemon");
  }
  const SteadyTime until = std::chrono::steady_clock::now() + *time;
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  unsigned shown = 0;
  for (bool first = true;; first = false) {
    const control::Traced got = need(daemon->ask(control::TraceRequest{domain}));
    if (first) {
      std::fprintf(stderr, "mtastsctl: tracing %s; Ctrl-C ends it\n", domain.str().c_str());
    }
    for (const std::string& event : got.events) {
      std::puts(arguments.json ? event.c_str() : line_of(terminal, event).c_str());
      if (++shown == arguments.lines) {
        return term::kGood;
      }
    }
    if (got.lost > 0) {
      term::trouble(std::to_string(got.lost) + " events were lost: more came than could be shown");
    }
    std::fflush(stdout);
    if (got.ended || std::chrono::steady_clock::now() >= until) {
      return term::kGood;
    }
  }
}

}  // namespace

void add_trace(Verb& root) {
  Verb verb = root.add("trace", "show what happens about a domain, as it happens");
  Arguments& arguments = verb.runs(trace);
  verb.argument("DOMAIN", arguments.domain, "a domain, or a key as Postfix sends it");
  verb.option("--for", arguments.time, "TIME", "how long to watch, up to 1h");
  verb.number("--lines", arguments.lines, "NUMBER", 1, 1'000'000, "end after so many lines");
  verb.flag("--json", arguments.json, "print one JSON object a line");
  arguments.settings.add_option(verb);
  verb.footer(
      "Examples:\n"
      "  mtastsctl trace example.com\n"
      "  mtastsctl trace --for 1m --json example.com");
}

}  // namespace mtastsd::ctl
