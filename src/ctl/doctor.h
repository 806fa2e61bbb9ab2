#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// `mtastsctl doctor`: what is right and wrong about the Postfix on this machine and its mtastsd.
// Registers the verb; `run` is set to what carries it out when it was given, and returns the exit
// status: term::kGood, term::kNotFound when something is wrong, term::kTrouble when that could not
// be found out.
void add_doctor(CLI::App& app, std::function<int()>& run);

}  // namespace mtastsd::ctl
