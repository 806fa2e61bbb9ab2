#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// `mtastsctl check DOMAIN...`: what a sender finds of the domains' MTA-STS, and what to put right.
// Registers the verb as add_query does; the exit status is term::kGood, term::kNotFound when
// something is found wanting, term::kTrouble when something could not be found out.
void add_check(CLI::App& app, std::function<int()>& run);

}  // namespace mtastsd::ctl
