#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cache.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/term/exit_status.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

using cache::History;
using cache::PolicyVersion;
using Json = nlohmann::ordered_json;

cache::VersionChange change_at(const History& history, std::size_t number) {
  return number + 1 < history.size() ? change_between(history[number + 1], history[number])
                                     : cache::VersionChange{};
}

Json json_of(const History& history, std::size_t number) {
  const PolicyVersion& version = history[number];
  const cache::VersionChange change = change_at(history, number);
  Json changes = Json::array();
  for (const auto& [there, word] :
       {std::pair(change.drifted, "drifted"), std::pair(change.weaker, "weaker"),
        std::pair(change.mx_changed, "mx")}) {
    if (there) {
      changes.push_back(word);
    }
  }
  Json mx = Json::array();
  for (const mtasts::MxPattern& pattern : version.policy.mx) {
    mx.push_back(pattern.str());
  }
  Json failure = nullptr;
  if (version.last_failure) {
    failure = {{"type", to_string(version.last_failure->type)},
               {"detail", version.last_failure->detail},
               {"at", timestamp(version.failed_at)}};
  }
  return {{"id", version.id},
          {"mode", to_string(version.policy.mode)},
          {"max_age", version.policy.max_age.count()},
          {"mx", std::move(mx)},
          {"mx_left_out", version.mx_left_out},
          {"first_at",
           version.first_at == WallTime{} ? Json(nullptr) : Json(timestamp(version.first_at))},
          {"last_at", timestamp(version.last_at)},
          {"failures", version.failures},
          {"last_failure", std::move(failure)},
          {"changes", std::move(changes)}};
}

std::vector<std::string> lines_of(const PolicyVersion& version) {
  std::vector<std::string> lines;
  std::istringstream text(mtasts::text_of(version.policy));
  for (std::string line; std::getline(text, line);) {
    line.erase(std::remove(line.begin(), line.end(), '\r'), line.end());
    lines.push_back(printable(line));
  }
  if (version.mx_left_out > 0) {
    lines.push_back("(" + std::to_string(version.mx_left_out) + " more mx lines were not kept)");
  }
  return lines;
}

// The lines of a policy have no order that matters, but for people.
void print_diff(const PolicyVersion& older, const PolicyVersion& newer) {
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  const std::vector<std::string> before = lines_of(older);
  const std::vector<std::string> after = lines_of(newer);
  const auto print = [&](const std::vector<std::string>& lines,
                         const std::vector<std::string>& others, char sign, term::Colour colour) {
    for (const std::string& line : lines) {
      if (std::find(others.begin(), others.end(), line) == others.end()) {
        std::printf("  %s\n", term::paint(terminal, colour, sign + (" " + line)).c_str());
      }
    }
  };
  print(before, after, '-', term::Colour::Red);
  print(after, before, '+', term::Colour::Green);
}

std::string marks_of(const cache::VersionChange& change) {
  std::string text;
  for (const auto& [there, words] : {std::pair(change.drifted, "another policy under the same id"),
                                     std::pair(change.weaker, "the mode asks for less"),
                                     std::pair(change.mx_changed, "other MX hosts")}) {
    if (there) {
      text += (text.empty() ? "" : "; ") + std::string(words);
    }
  }
  return text;
}

std::string times_of(const PolicyVersion& version, WallTime now) {
  const std::string first =
      version.first_at == WallTime{} ? "before the history begins" : date_text(version.first_at);
  return "first fetched " + first + ", last " + date_text(version.last_at) + " (" +
         relative_text(version.last_at, now) + ")";
}

void print(const History& history, std::size_t number, bool current) {
  const WallTime now = SystemClock().wall();
  const PolicyVersion& version = history[number];
  const cache::VersionChange change = change_at(history, number);
  print_field(
      current ? "Policy" : "Before",
      "id " + printable(version.id) + ", mode " + std::string(to_string(version.policy.mode)),
      term::Colour::Bold);
  print_field("", times_of(version, now));
  if (const std::string marks = marks_of(change); !marks.empty()) {
    print_field("Changed", marks,
                change.drifted || change.weaker ? term::Colour::Red : term::Colour::Yellow);
  }
  if (version.last_failure) {
    print_field("Failed",
                std::to_string(version.failures) + (version.failures == 1 ? " fetch" : " fetches") +
                    ", the last " + date_text(version.failed_at) + ": " +
                    std::string(to_string(version.last_failure->type)) + ": " +
                    printable(version.last_failure->detail),
                term::Colour::Yellow);
  }
  if (number + 1 < history.size()) {
    print_diff(history[number + 1], version);
  } else {
    for (const std::string& line : lines_of(version)) {
      std::printf("    %s\n", line.c_str());
    }
  }
}

}  // namespace

int cache_history(CacheArguments& arguments) {
  arguments.settings.load();
  const DomainName domain = domain_of(arguments.domain);
  const auto [history, entry] = find_history(arguments.settings, domain);
  if (history.empty()) {
    term::trouble(entry ? "no policy of " + domain.str() +
                              " was ever known: " + no_policy_text(*entry)
                        : "nothing is known of " + domain.str());
    return term::kNotFound;
  }
  if (arguments.json) {
    Json versions = Json::array();
    for (std::size_t i = 0; i < history.size(); ++i) {
      versions.push_back(json_of(history, i));
    }
    print_line({{"domain", domain.view()}, {"versions", std::move(versions)}});
    return term::kGood;
  }
  print_field("Domain", domain.str());
  const bool holds = entry && entry->holds_policy();
  if (!holds) {
    print_field("Policy", entry ? "none: " + no_policy_text(*entry) : "none");
  }
  for (std::size_t i = 0; i < history.size(); ++i) {
    print(history, i, i == 0 && holds);
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
