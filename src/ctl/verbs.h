#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// The whole option table of mtastsctl: help, completions and the manual page are held against it.
// `run` is set to what carries out the verb that was given.
void add_verbs(CLI::App& app, std::function<int()>& run);

}  // namespace mtastsd::ctl
