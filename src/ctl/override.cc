#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/override_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

using overrides::Action;
using overrides::Override;
using overrides::Scope;
using Json = nlohmann::ordered_json;

struct Arguments {
  Settings settings;
  std::string name;
  std::vector<std::string> names;
  bool json = false;
  // add
  bool ignore = false;
  bool testing = false;
  bool pin = false;
  bool dane = false;
  std::vector<std::string> mx;
  std::string for_time;
  std::string until;
  bool permanent = false;
  std::string reason;
};

Scope scope_of(const std::string& name) {
  const auto scope = Scope::parse(name);
  if (!scope) {
    throw Trouble(in_quotes(name) +
                  " is no name for an override: give a domain, or '*.partner.example' for all "
                  "domains below one");
  }
  return *scope;
}

control::Client connect(const Settings& settings) {
  auto daemon = connect_to_daemon(settings);
  if (!daemon) {
    throw Trouble(daemon.error() +
                  ": overrides need a running daemon: start it, or name its configuration with "
                  "--config");
  }
  return std::move(*daemon);
}

// --- what there is ------------------------------------------------------------------------------

enum class State { InForce, Covered, Ended };

// `all` has the latest decision for each name first.
State state_of(const Override& one, const std::vector<Override>& all, WallTime now) {
  if (!one.in_force(now)) {
    return State::Ended;
  }
  const auto first = std::find_if(all.begin(), all.end(), [&](const Override& other) {
    return other.scope == one.scope && other.in_force(now);
  });
  return *first == one ? State::InForce : State::Covered;
}

const char* word_for(State state) {
  switch (state) {
    case State::InForce:
      return "in-force";
    case State::Covered:
      return "covered";
    case State::Ended:
      break;
  }
  return "ended";
}

Json json_of(const Override& one, State state) {
  Json object = Json::parse(control::to_json(one));
  object["state"] = word_for(state);
  return object;
}

std::string end_text(const Override& one, WallTime now) {
  return !one.until ? "never" : relative_text(*one.until, now);
}

std::string by_text(const Override& one) {
  return one.source == overrides::Source::Configuration ? "configuration" : one.by;
}

std::string mx_text(const Override& one) {
  return joined(one.mx, " ", [](const mtasts::MxPattern& pattern) { return pattern.str(); });
}

void print_list(const std::vector<Override>& shown, const std::vector<Override>& all) {
  const WallTime now = SystemClock().wall();
  const term::Table table(term::look_at(STDOUT_FILENO),
                          {{"NAME", 0}, {"ACTION", 8}, {"ENDS", 12}, {"BY", 14}, {"STATE", 9}});
  std::puts(table.head().c_str());
  for (const Override& one : shown) {
    const State state = state_of(one, all, now);
    const term::Colour colour = state == State::InForce ? term::Colour::Yellow : term::Colour::Dim;
    std::puts(table
                  .row({{one.scope.str(), term::Colour::None},
                        {std::string(to_string(one.action)), colour},
                        {end_text(one, now), term::Colour::None},
                        {by_text(one), term::Colour::None},
                        {word_for(state), colour}})
                  .c_str());
    std::printf("  %s\n", printable(one.reason).c_str());
    if (!one.mx.empty()) {
      std::printf("  mx: %s\n", mx_text(one).c_str());
    }
  }
}

void print(const std::vector<Override>& shown, const std::vector<Override>& all, bool as_json) {
  if (!as_json) {
    print_list(shown, all);
    return;
  }
  const WallTime now = SystemClock().wall();
  for (const Override& one : shown) {
    print_line(json_of(one, state_of(one, all, now)));
  }
}

int list(Arguments& arguments) {
  arguments.settings.load();
  control::Client daemon = connect(arguments.settings);
  const auto all = need(daemon.ask(control::OverridesRequest{})).all;
  if (all.empty() && !arguments.json) {
    std::puts("there are no overrides: every domain is answered by what it publishes");
    return term::kGood;
  }
  print(all, all, arguments.json);
  return term::kGood;
}

// Those of the name, and those that cover it, the most specific first.
int show(Arguments& arguments) {
  arguments.settings.load();
  const Scope wanted = scope_of(arguments.name);
  control::Client daemon = connect(arguments.settings);
  const auto all = need(daemon.ask(control::OverridesRequest{})).all;
  std::vector<Override> shown;
  std::copy_if(all.begin(), all.end(), std::back_inserter(shown), [&](const Override& one) {
    return one.scope == wanted || (!wanted.below && one.scope.covers(wanted.domain));
  });
  std::stable_sort(shown.begin(), shown.end(), [](const Override& a, const Override& b) {
    return std::pair(a.scope.below, b.scope.domain.size()) <
           std::pair(b.scope.below, a.scope.domain.size());
  });
  if (shown.empty()) {
    term::trouble("there is no override for " + wanted.str());
    return term::kNotFound;
  }
  print(shown, all, arguments.json);
  return term::kGood;
}

// --- add ----------------------------------------------------------------------------------------

Action action_of(const Arguments& arguments) {
  const std::pair<bool, Action> choices[] = {{arguments.ignore, Action::Ignore},
                                             {arguments.testing, Action::Testing},
                                             {arguments.pin, Action::Pin},
                                             {arguments.dane, Action::Dane}};
  const auto given = [](const auto& choice) { return choice.first; };
  if (std::count_if(std::begin(choices), std::end(choices), given) != 1) {
    throw Trouble("one action is needed: --ignore, --testing, --pin or --dane");
  }
  return std::find_if(std::begin(choices), std::end(choices), given)->second;
}

std::optional<WallTime> end_of(const Arguments& arguments, WallTime now) {
  const int given = static_cast<int>(!arguments.for_time.empty()) +
                    static_cast<int>(!arguments.until.empty()) +
                    static_cast<int>(arguments.permanent);
  if (given != 1) {
    throw Trouble("one end is needed: --for 7d, --until 2027-01-15 or --permanent");
  }
  if (!arguments.for_time.empty()) {
    const auto span = config::parse_duration(arguments.for_time);
    const Milliseconds least = Seconds(1);
    const Milliseconds most = std::chrono::hours(24 * 3660);
    if (!span || *span < least || *span > most) {
      throw Trouble("--for: " + in_quotes(arguments.for_time) +
                    " is not a duration between 1s and ten years, such as 7d or 12h");
    }
    return now + std::chrono::ceil<Seconds>(*span);
  }
  if (!arguments.until.empty()) {
    const auto time = overrides::parse_until(arguments.until);
    if (!time) {
      throw Trouble("--until: " + in_quotes(arguments.until) + " " +
                    std::string(overrides::kUntilForms));
    }
    return time;
  }
  return std::nullopt;
}

Override override_of(const Arguments& arguments, WallTime now) {
  Override one{.scope = scope_of(arguments.name), .action = action_of(arguments)};
  for (const std::string& text : arguments.mx) {
    const auto pattern = mtasts::MxPattern::parse(text);
    if (!pattern) {
      throw Trouble("--mx: " + in_quotes(text) + " is neither a host name nor \"*.\" and a domain");
    }
    one.mx.push_back(*pattern);
  }
  one.reason = arguments.reason;
  one.until = end_of(arguments, now);
  one.source = overrides::Source::CommandLine;
  if (const auto good = check(one); !good) {
    throw Trouble("the override " + good.error());
  }
  return one;
}

const char* meaning_of(Action action) {
  switch (action) {
    case Action::Ignore:
    case Action::Testing:
      return "Mail to it is not held to its policy";
    case Action::Pin:
      return "Mail to it goes to the pinned MX hosts only, whatever it publishes";
    case Action::Dane:
      break;
  }
  return "Mail to it is authenticated by DANE only, whatever its policy says";
}

int add(Arguments& arguments) {
  arguments.settings.load();
  const WallTime now = SystemClock().wall();
  const Override one = override_of(arguments, now);
  control::Client daemon = connect(arguments.settings);
  const auto all = need(daemon.ask(control::OverrideAddRequest{one})).all;
  const auto added = std::find_if(all.begin(), all.end(), [&](const Override& other) {
    return other.scope == one.scope && other.source == overrides::Source::CommandLine;
  });
  if (added == all.end()) {
    throw Trouble("the override was added and has ended since");
  }
  if (arguments.json) {
    print_line(json_of(*added, state_of(*added, all, now)));
    return term::kGood;
  }
  std::printf("added: %s is answered by the override \"%s\". %s%s.\n", one.scope.str().c_str(),
              std::string(to_string(one.action)).c_str(), meaning_of(one.action),
              one.until ? (" until " + date_text(*one.until)).c_str() : ", for good");
  const bool configured = std::any_of(all.begin(), all.end(), [&](const Override& other) {
    return other.scope == one.scope && other.source == overrides::Source::Configuration;
  });
  if (configured) {
    std::puts("It counts more than the one in the configuration, which is the earlier decision.");
  }
  return term::kGood;
}

// --- remove -------------------------------------------------------------------------------------

// One that cannot be removed does not hinder the others.
int remove(Arguments& arguments) {
  arguments.settings.load();
  control::Client daemon = connect(arguments.settings);
  int status = term::kGood;
  for (const std::string& name :
       names_given("override remove", arguments.names, overrides::kMaxOverrides)) {
    const auto scope = Scope::parse(name);
    if (!scope) {
      status = term::trouble(in_quotes(name) + " is no name for an override");
      continue;
    }
    const auto answer = daemon.ask(control::OverrideRemoveRequest{*scope});
    if (!answer && answer.error().problem != control::Error::Problem::Refused) {
      throw Trouble(answer.error().message);
    }
    if (!answer) {
      status = term::trouble(answer.error().message);
    } else if (!answer->removed) {
      term::trouble("there is no override for " + scope->str());
      status = std::max(status, static_cast<int>(term::kNotFound));
    } else if (arguments.json) {
      print_line(json_of(*answer->removed, State::Ended));
    } else {
      std::printf("removed: the override \"%s\" of %s\n",
                  std::string(to_string(answer->removed->action)).c_str(), scope->str().c_str());
    }
  }
  return status;
}

Arguments& runs(Verb& verb, int (*carry_out)(Arguments&)) {
  Arguments& arguments = verb.runs(carry_out);
  arguments.settings.add_option(verb);
  verb.flag("--json", arguments.json, "print one JSON object a line");
  return arguments;
}

void add_add(Verb& root) {
  Verb verb = root.add("add", "answer Postfix otherwise than the domain's policy asks for");
  Arguments& arguments = runs(verb, add);
  verb.argument("NAME", arguments.name, "a domain, or '*.partner.example' for all below one");
  verb.flag("--ignore", arguments.ignore, "as if the domain had no MTA-STS");
  verb.flag("--testing", arguments.testing, "as if its policy were of mode testing");
  verb.flag("--pin", arguments.pin, "enforce the MX hosts of --mx, whatever it publishes");
  verb.flag("--dane", arguments.dane, "leave it to DANE: dane-only");
  verb.repeated("--mx", arguments.mx, "HOST",
                "with --pin: an MX host, or *.DOMAIN; can be repeated");
  verb.option("--for", arguments.for_time, "TIME", "how long it counts, such as 7d");
  verb.option("--until", arguments.until, "TIME",
              "when it ends: a date, or a time such as 2027-01-15T12:00:00Z");
  verb.flag("--permanent", arguments.permanent, "it has no end");
  verb.option("--reason", arguments.reason, "TEXT", "why, for those who find it later");
  verb.footer(
      "Examples:\n"
      "  mtastsctl override add broken.example --ignore --for 7d --reason \"ticket 4711\"\n"
      "  mtastsctl override add partner.example --pin --mx mx.partner.example \\\n"
      "    --permanent --reason \"contract of 2026\"");
}

}  // namespace

void add_override(Verb& root) {
  Verb verb = root.add("override", "make exceptions from MTA-STS for single domains");
  add_add(verb);
  Verb list_verb = verb.add("list", "list the overrides of the configuration and of this verb");
  runs(list_verb, list);
  list_verb.footer("Examples:\n  mtastsctl override list");
  Verb show_verb = verb.add("show", "show the overrides that cover a domain");
  show_verb.argument("NAME", runs(show_verb, show).name, "a domain, or a name as it was added");
  show_verb.footer("Examples:\n  mtastsctl override show mail.broken.example");
  Verb remove_verb = verb.add("remove", "end overrides that were added by this verb");
  remove_verb.keys("NAME", runs(remove_verb, remove).names,
                   "the names as they were added; - reads them from standard input");
  remove_verb.footer("Examples:\n  mtastsctl override remove broken.example");
  verb.footer(
      "Examples:\n"
      "  mtastsctl override add broken.example --ignore --for 7d --reason \"ticket 4711\"\n"
      "  mtastsctl override list\n"
      "  mtastsctl override remove broken.example");
}

}  // namespace mtastsd::ctl
