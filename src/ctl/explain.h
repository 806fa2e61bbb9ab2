#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// `mtastsctl explain KEY`: how mtastsd comes to its reply for a key of Postfix, while the daemon
// runs and when it is down. As in add_query().
void add_explain(CLI::App& app, std::function<int()>& run);

}  // namespace mtastsd::ctl
