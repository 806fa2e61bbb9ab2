#pragma once

#include <optional>
#include <string>
#include <vector>

#include "verb.h"

// The options of mtastsctl. Help and completions are made from them, and the manual page is
// compared with them.
namespace mtastsd::ctl {

// All of it; `run` is set to what carries out the verb that was given, and returns the exit
// status: term::kGood, term::kNotFound or term::kTrouble.
void add_verbs(CLI::App& app, Verb::Run& run);

// What is wrong with the words in front of the first option, if one of them is no verb: a sentence
// that names it, and the verb that was probably meant.
std::optional<std::string> wrong_verb(const CLI::App& app, const std::vector<std::string>& words);

// The verbs, each in a file of its name.
void add_query(Verb& root);
void add_explain(Verb& root);
void add_status(Verb& root);
void add_cache(Verb& root);
void add_override(Verb& root);
void add_trace(Verb& root);
void add_observe(Verb& root);
void add_warm(Verb& root);
void add_check(Verb& root);
void add_doctor(Verb& root);

}  // namespace mtastsd::ctl
