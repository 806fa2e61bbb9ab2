#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// `mtastsctl query DOMAIN...`: the reply that Postfix would get, on stdout. Registers the verb;
// `run` is set to what carries it out when it was given, and returns the exit status: term::kGood
// for a policy, term::kNotFound, term::kTrouble.
void add_query(CLI::App& app, std::function<int()>& run);

}  // namespace mtastsd::ctl
