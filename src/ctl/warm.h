#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// `mtastsctl warm FILE`: has the daemon find out about a list of domains before mail goes there.
// As in add_query().
void add_warm(CLI::App& app, std::function<int()>& run);

}  // namespace mtastsd::ctl
