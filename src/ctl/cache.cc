#include "cache.h"

#include "verbs.h"

namespace mtastsd::ctl {
namespace {

CacheArguments& runs(Verb& verb, int (*carry_out)(CacheArguments&)) {
  CacheArguments& arguments = verb.runs(carry_out);
  arguments.settings.add_option(verb);
  return arguments;
}

CacheArguments& runs_for_domain(Verb& verb, int (*carry_out)(CacheArguments&)) {
  CacheArguments& arguments = runs(verb, carry_out);
  verb.argument("DOMAIN", arguments.domain, "a domain, or a key as Postfix sends it");
  verb.flag("--json", arguments.json, "print one JSON object");
  return arguments;
}

void add_list(Verb& cache) {
  Verb verb = cache.add("list", "list the known domains by name");
  CacheArguments& arguments = runs(verb, cache_list);
  verb.choice("--mode", arguments.mode, "MODE", {"enforce", "testing", "none", "no-policy"},
              "only domains with a policy of this mode, or without one");
  verb.flag("--failing", arguments.failing, "only domains whose policy cannot be had or renewed");
  verb.flag("--mx-mismatch", arguments.mx_mismatch,
            "only domains whose mail is deferred, because no MX host matches their policy");
  verb.option("--expiring", arguments.expiring, "TIME",
              "only policies that expire within this time, such as 2d");
  verb.option("--match", arguments.match, "GLOB", "only names that match, such as '*.example.com'");
  verb.flag("--json", arguments.json, "print one JSON object a line");
  verb.footer(
      "Examples:\n"
      "  mtastsctl cache list --mode enforce\n"
      "  mtastsctl cache list --failing --expiring 2d\n"
      "  mtastsctl cache list --match '*.example.com'");
}

void add_for_one_domain(Verb& cache) {
  Verb show = cache.add("show", "show everything that is known of a domain");
  runs_for_domain(show, cache_show);
  show.footer("Examples:\n  mtastsctl cache show example.com");
  Verb history = cache.add("history", "show the last versions of a domain's policy");
  runs_for_domain(history, cache_history);
  history.footer("Examples:\n  mtastsctl cache history example.com");
  Verb forget = cache.add("forget", "drop what is known of a domain");
  forget.flag("--yes", runs_for_domain(forget, cache_forget).yes, "do not ask for confirmation");
  forget.footer(
      "Examples:\n"
      "  mtastsctl cache forget example.com\n"
      "  mtastsctl cache forget --yes example.com");
}

void add_refresh(Verb& cache) {
  Verb verb = cache.add("refresh", "make the running daemon fetch policies now");
  CacheArguments& arguments = runs(verb, cache_refresh);
  verb.keys("DOMAIN", arguments.domains,
            "a domain, or a key as Postfix sends it; more may follow; - reads them from standard "
            "input, one a line",
            false);
  verb.flag("--failing", arguments.failing, "all domains that \"cache list --failing\" lists");
  verb.flag("--force", arguments.force, "also where the last fetch has failed a moment ago");
  verb.flag("--json", arguments.json, "print one JSON object a line");
  verb.footer(
      "Examples:\n"
      "  mtastsctl cache refresh example.com\n"
      "  mtastsctl cache refresh --force example.com\n"
      "  mtastsctl cache refresh --failing");
}

void add_for_all_domains(Verb& cache) {
  Verb stats = cache.add("stats", "count the entries, and show how full the cache is");
  stats.flag("--json", runs(stats, cache_stats).json, "print one JSON object");
  stats.footer("Examples:\n  mtastsctl cache stats");
  Verb exported = cache.add("export", "print the policies that are alive as JSON, one a line");
  exported.flag("--postfix", runs(exported, cache_export).postfix,
                "print a table for Postfix (hash, texthash) of the policies in force instead");
  exported.footer(
      "Examples:\n"
      "  mtastsctl cache export > policies\n"
      "  mtastsctl cache export --postfix > /etc/postfix/tls_policy");
  Verb imported = cache.add(
      "import", "take in what \"cache export\" wrote, where it is alive and newer than the cache");
  CacheArguments& arguments = runs(imported, cache_import);
  imported.argument("FILE", arguments.file, "the file; standard input if it is - or missing",
                    false);
  imported.flag("--json", arguments.json, "print the summary as a JSON object");
  imported.footer(
      "Examples:\n"
      "  mtastsctl cache import policies\n"
      "  ssh old-host mtastsctl cache export | mtastsctl cache import");
}

}  // namespace

void add_cache(Verb& root) {
  Verb cache = root.add("cache", "show and change what mtastsd has stored");
  add_list(cache);
  add_for_one_domain(cache);
  add_refresh(cache);
  add_for_all_domains(cache);
  // After the verbs, which would take it over as theirs.
  cache.footer(
      "Examples:\n"
      "  mtastsctl cache list --failing\n"
      "  mtastsctl cache show example.com\n"
      "  mtastsctl cache refresh example.com\n"
      "  mtastsctl cache list --help");
}

}  // namespace mtastsd::ctl
