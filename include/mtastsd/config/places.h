#pragma once

#include <string>
#include <vector>

// The default paths of the cache and the control socket, for the daemon and for mtastsctl.
namespace mtastsd::config {

// The directories where the cache can be if the configuration names none: the one that systemd
// created (STATE_DIRECTORY, CACHE_DIRECTORY), /var/lib/mtastsd, $XDG_CACHE_HOME/mtastsd and
// ~/.cache/mtastsd.
std::vector<std::string> cache_directories();

// For the daemon: the first of them that is a writable directory or can be created. If there is
// none, the first of them, because opening it gives the error.
std::string default_cache_directory();

// For mtastsctl: the first of them that contains a cache, or else the first.
std::string find_cache_directory();

// Where Postfix can ask when systemd holds the sockets (contrib/systemd/mtastsd-unix.socket).
inline constexpr char kPassedSocket[] = "/run/mtastsd-policy/socket";

inline constexpr char kDefaultControlSocket[] = "/run/mtastsd/control.sock";

// The paths where the control socket can be: the one in the configuration, and if that is the
// default, which only root can create, also $XDG_RUNTIME_DIR/mtastsd and beside the user's own
// cache.
std::vector<std::string> control_sockets(const std::string& configured);

// For the daemon: the first of them whose directory is writable or can be created, or else the
// first.
std::string choose_control_socket(const std::string& configured);

}  // namespace mtastsd::config
