#pragma once

#include <string>

namespace mtastsd::ctl {

// Where the cache of a daemon that is down can be opened. Root becomes the owner of the directory
// first, for the rest of the program: then a link that the owner has put there leads nowhere that
// the owner could not go anyway. Throws Trouble where somebody else could have put something there.
// Returns the path to use from now on, which can be "." if the owner cannot reach the directory.
std::string enter_cache_directory(const std::string& directory);

// Whether there is a cache in it, or this user may not know. Opens nothing.
bool has_cache(const std::string& directory);

}  // namespace mtastsd::ctl
