#pragma once

#include <optional>
#include <string>

#include "mtastsd/control/protocol.h"

// What a daemon that replies cannot do, for the tools that watch it. Pure.
namespace mtastsd::control {

// A clause for each of them, with what it means for mail.
std::optional<std::string> cache_problem(const Status& status);
std::optional<std::string> authorities_problem(const Status& status);

// Why the daemon cannot do all of its work yet. None: it can. DNS servers do not count, because
// what is cached is served without them.
std::optional<std::string> not_ready(const Status& status);

bool no_dns_server_is_good(const Status& status);

}  // namespace mtastsd::control
