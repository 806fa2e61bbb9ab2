#pragma once

#include <string>
#include <string_view>

#include "option_table.h"

namespace mtastsd::ctl {

// Scripts that complete mtastsctl's verbs, options and their values in a shell. They are made when
// mtastsctl is built, from its own option table, and are no part of the program.

// Calls `use` for a verb and all verbs below it; the path of the root is "", that of others is
// "/cache/list".
template <typename Use>
void for_each_verb(const VerbSpec& spec, const std::string& path, Use use) {
  use(spec, path);
  for (const VerbSpec& verb : spec.verbs) {
    for_each_verb(verb, path + "/" + verb.name, use);
  }
}

// "/cache /cache/list": the paths of all verbs.
std::string paths_of(const VerbSpec& table, std::string_view separator);

// What the arguments of a verb are.
ValueSpec arguments_of(const VerbSpec& spec);

std::string bash_completion(const VerbSpec& table);
std::string zsh_completion(const VerbSpec& table);
std::string fish_completion(const VerbSpec& table);

}  // namespace mtastsd::ctl
