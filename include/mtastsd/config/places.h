#pragma once

#include <string>
#include <vector>

// Where the daemon keeps what its configuration gives no place, and where the tool looks for it.
namespace mtastsd::config {

// Where the cache may be when the configuration does not say: what systemd made for us
// (STATE_DIRECTORY, CACHE_DIRECTORY), /var/lib/mtastsd, $XDG_CACHE_HOME/mtastsd or
// ~/.cache/mtastsd.
std::vector<std::string> cache_directories();

// For the daemon: the first that is or can be made a directory we can write. If there is none,
// the first of them: opening it says what is wrong.
std::string default_cache_directory();

// For the tool: the first with a cache in it, else the first.
std::string find_cache_directory();

inline constexpr char kDefaultControlSocket[] = "/run/mtastsd/control.sock";

// Where the control socket may be: where the configuration says; if that is the default, which only
// root can make, also in $XDG_RUNTIME_DIR/mtastsd and beside the user's own cache.
std::vector<std::string> control_sockets(const std::string& configured);

// For the daemon: the first whose directory we can write or make, else the first.
std::string choose_control_socket(const std::string& configured);

}  // namespace mtastsd::config
