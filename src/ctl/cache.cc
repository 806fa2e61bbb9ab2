#include "cache.h"

#include "mtastsd/term/exit_status.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

template <int (*kCarryOut)(const CacheArguments&)>
int with_settings(CacheArguments& arguments) {
  if (auto loaded = arguments.settings.load(); !loaded) {
    return term::trouble(loaded.error());
  }
  return kCarryOut(arguments);
}

template <int (*kCarryOut)(const CacheArguments&)>
CacheArguments& runs(Verb& verb) {
  CacheArguments& arguments = verb.runs<CacheArguments>(with_settings<kCarryOut>);
  arguments.settings.add_option(verb);
  return arguments;
}

template <int (*kCarryOut)(const CacheArguments&)>
CacheArguments& runs_for_domain(Verb& verb) {
  CacheArguments& arguments = runs<kCarryOut>(verb);
  verb.argument("DOMAIN", arguments.domain, "a domain, or a key as Postfix sends it");
  verb.flag("--json", arguments.json, "print one JSON object");
  return arguments;
}

void add_list(Verb& cache) {
  Verb verb = cache.add("list", "list the known domains by name");
  CacheArguments& arguments = runs<cache_list>(verb);
  verb.choice("--mode", arguments.mode, "MODE", {"enforce", "testing", "none", "no-policy"},
              "only domains with a policy of this mode, or without one");
  verb.flag("--failing", arguments.failing, "only domains whose last fetch failed");
  verb.option("--expiring", arguments.expiring, "TIME",
              "only policies that expire within this time, such as 2d");
  verb.option("--match", arguments.match, "GLOB", "only names that match, such as '*.example.com'");
  verb.flag("--json", arguments.json, "print one JSON object a line");
}

}  // namespace

void add_cache(Verb& root) {
  Verb cache = root.add("cache", "show and change what mtastsd has stored");
  add_list(cache);
  Verb show = cache.add("show", "show everything that is known of a domain");
  runs_for_domain<cache_show>(show);
  Verb stats = cache.add("stats", "count the entries, and show how full the cache is");
  stats.flag("--json", runs<cache_stats>(stats).json, "print one JSON object");
  Verb refresh = cache.add("refresh", "make the running daemon fetch a policy now");
  runs_for_domain<cache_refresh>(refresh);
  Verb forget = cache.add("forget", "drop what is known of a domain");
  forget.flag("--yes", runs_for_domain<cache_forget>(forget).yes, "do not ask for confirmation");
  Verb exported = cache.add("export", "print the policies that are alive as JSON, one a line");
  exported.flag("--postfix", runs<cache_export>(exported).postfix,
                "print a table for Postfix (hash, texthash) of the policies in force instead");
  Verb imported = cache.add(
      "import", "take in what \"cache export\" wrote, where it is alive and newer than the cache");
  CacheArguments& arguments = runs<cache_import>(imported);
  imported.argument("FILE", arguments.file, "the file; standard input if it is - or missing",
                    false);
  imported.flag("--json", arguments.json, "print the summary as a JSON object");
}

}  // namespace mtastsd::ctl
