#include "open_sockets.h"

#include <grp.h>

#include <utility>

#include "mtastsd/config/places.h"

namespace mtastsd::daemon {
namespace {

constexpr unsigned kOwnerOnly = 0600;
constexpr unsigned kOwnerAndGroup = 0660;

// Without it, the daemon goes on.
void open_control(const config::Control& options, const std::string& user, OpenSockets& open) {
  if (options.socket.empty()) {
    return;
  }
  open.control_path = config::choose_control_socket(options.socket);
  if (!options.socket_group.empty() && ::getgrnam(options.socket_group.c_str()) == nullptr) {
    open.control_problem = "control.socket_group: there is no group " + options.socket_group;
    return;
  }
  config::ListenAddress address;
  address.kind = config::ListenAddress::Kind::Unix;
  address.path = open.control_path;
  config::Socketmap access;
  access.socket_mode = options.socket_group.empty() ? kOwnerOnly : kOwnerAndGroup;
  access.socket_owner = user;
  access.socket_group = options.socket_group;
  std::vector<PassedSocket> none;
  std::vector<std::unique_ptr<Listener>> listeners;
  if (auto opened = open_listeners(address, access, none, listeners); !opened) {
    open.control_problem = std::move(opened.error());
    return;
  }
  open.control = std::move(listeners.front());
}

}  // namespace

Result<OpenSockets, std::string> open_sockets(const config::Config& config, PassedSockets passed,
                                              const std::string& user) {
  OpenSockets open;
  open.unusable = std::move(passed.unusable);
  const bool by_default = config.socketmap.listen == config::defaults().socketmap.listen;
  config::Socketmap access = config.socketmap;
  if (access.socket_owner.empty()) {
    access.socket_owner = user;
  }
  for (const auto& address : config.socketmap.listen) {
    if (auto opened = open_listeners(address, access, passed.sockets, open.socketmap); !opened) {
      return failure(std::move(opened.error()));
    }
  }
  if (by_default) {
    for (PassedSocket& socket : std::exchange(passed.sockets, {})) {
      open.socketmap.push_back(Listener::adopt(std::move(socket)));
    }
  }
  open.unused = std::move(passed.sockets);
  open_control(config.control, user, open);
  return open;
}

}  // namespace mtastsd::daemon
