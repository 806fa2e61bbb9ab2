#pragma once

#include <string>

namespace mtastsd::daemon {

// Where the cache goes when the configuration does not say: what systemd made for us
// (STATE_DIRECTORY, CACHE_DIRECTORY), else /var/lib/mtastsd, else $XDG_CACHE_HOME/mtastsd or
// ~/.cache/mtastsd: the first that is or can be made a directory we can write. If there is none,
// the first of them: opening it says what is wrong.
std::string default_cache_directory();

}  // namespace mtastsd::daemon
