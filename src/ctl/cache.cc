#include "cache.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "mtastsd/term/exit_status.h"

namespace mtastsd::ctl {
namespace {

using Verb = int (*)(const CacheArguments&);

class Verbs {
 public:
  Verbs(CLI::App& parent, std::function<int()>& run) : parent_(parent), run_(run) {}

  std::pair<CLI::App*, CacheArguments*> add(const char* name, const char* help, Verb verb) {
    auto arguments = std::make_shared<CacheArguments>();
    CLI::App* app = parent_.add_subcommand(name, help);
    arguments->settings.add_option(*app);
    app->callback([arguments, verb, &run = run_] {
      run = [arguments, verb] {
        if (auto loaded = arguments->settings.load(); !loaded) {
          return term::trouble(loaded.error());
        }
        return verb(*arguments);
      };
    });
    return {app, arguments.get()};
  }

  std::pair<CLI::App*, CacheArguments*> add_for_domain(const char* name, const char* help,
                                                       Verb verb) {
    const auto [app, arguments] = add(name, help, verb);
    app->add_option("DOMAIN", arguments->domain, "a domain, or a key as Postfix sends it")
        ->required();
    app->add_flag("--json", arguments->json, "one JSON object");
    return {app, arguments};
  }

 private:
  CLI::App& parent_;
  std::function<int()>& run_;
};

void add_list(Verbs& verbs) {
  const auto [app, arguments] =
      verbs.add("list", "the domains that are known, by name", cache_list);
  app->add_option("--mode", arguments->mode, "only those of this mode")
      ->check(CLI::IsMember({"enforce", "testing", "none", "no-policy"}))
      ->type_name("MODE");
  app->add_flag("--failing", arguments->failing, "only those whose last fetch failed");
  app->add_option("--expiring", arguments->expiring, "only policies that end within this time: 2d")
      ->type_name("TIME");
  app->add_option("--match", arguments->match, "only names like this: '*.example.com'")
      ->type_name("GLOB");
  app->add_flag("--json", arguments->json, "one JSON object a line");
}

}  // namespace

void add_cache(CLI::App& app, std::function<int()>& run) {
  CLI::App* cache = app.add_subcommand("cache", "what mtastsd has stored: list, show, change");
  cache->require_subcommand(1);
  Verbs verbs(*cache, run);
  add_list(verbs);
  verbs.add_for_domain("show", "all that is known of a domain", cache_show);
  const auto stats = verbs.add("stats", "how many of what, and how full the cache is", cache_stats);
  stats.first->add_flag("--json", stats.second->json, "one JSON object");
  verbs.add_for_domain("refresh", "have the running daemon fetch a policy now", cache_refresh);
  const auto forget =
      verbs.add_for_domain("forget", "drop what is known of a domain", cache_forget);
  forget.first->add_flag("--yes", forget.second->yes, "do not ask");
  const auto exported =
      verbs.add("export", "the policies that are alive, as JSON, one a line", cache_export);
  exported.first->add_flag("--postfix", exported.second->postfix,
                           "a table for Postfix (hash, texthash) of those in force instead");
  const auto imported = verbs.add(
      "import", "take in what \"cache export\" wrote, where it is newer and alive", cache_import);
  imported.first->add_option("FILE", imported.second->file, "standard input if it is - or missing");
  imported.first->add_flag("--json", imported.second->json, "the summary as a JSON object");
}

}  // namespace mtastsd::ctl
