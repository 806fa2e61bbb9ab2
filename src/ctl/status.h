#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// `mtastsctl status`: what the running daemon is doing. As in add_query(); term::kNotFound when it
// does not run, or is not well.
void add_status(CLI::App& app, std::function<int()>& run);

}  // namespace mtastsd::ctl
