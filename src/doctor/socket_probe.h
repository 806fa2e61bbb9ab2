#pragma once

#include <string>

#include "mtastsd/config/config.h"
#include "mtastsd/doctor/facts.h"

// The questions that doctor asks sockets itself.
namespace mtastsd::doctor {

// Asks a socketmap server for a name that cannot exist, for at most a few seconds.
TableAnswer ask_server(const config::ListenAddress& server, const std::string& map,
                       const std::string& key);

// Why mtastsd could not listen at an address where nothing answers; 0 if it could.
Listener try_to_listen(const config::ListenAddress& address);

// True if the host is an address that this host does not have.
bool is_elsewhere(const std::string& host);

}  // namespace mtastsd::doctor
