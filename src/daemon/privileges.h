#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"

// What the daemon gives up once its sockets are open. All of it concerns the calling thread, and
// the threads that it starts afterwards.
namespace mtastsd::daemon {

struct Identity {
  uid_t user = 0;
  gid_t group = 0;
  std::string name;
};

// Whom a daemon that was started as root becomes. nullopt: it stays who it is, because it was not
// started as root, or because the user of that name is root, or because the default user does not
// exist. A configured user that does not exist is an error.
Result<std::optional<Identity>, std::string> identity_for(const config::Daemon& options);

// The owner of the cache directory. Where no other user was found for a daemon that was started as
// root, it becomes this one: links in the directory then lead nowhere that its owner could not go.
// nullopt: it is root, or the configuration says that the daemon stays root.
std::optional<Identity> owner_of_cache(const std::string& directory, const config::Daemon& options);

// Gives a directory that belongs to root, and the files of a cache in it, to the one who will write
// there. Creates the directory if it is missing. Leaves alone what belongs to anybody else.
void hand_over_cache(const std::string& directory, const Identity& to);

// For good.
Result<void, std::string> become(const Identity& identity);

// Whether somebody could read a file, by another process that becomes this user.
bool can_read(const Identity& identity, const std::string& path);

// No capability is left, none can be gained by running a program, and no core dump shows what was
// in the memory.
void drop_capabilities();

}  // namespace mtastsd::daemon
