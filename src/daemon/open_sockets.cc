#include "open_sockets.h"

#include <grp.h>

#include <utility>

#include "mtastsd/config/places.h"

namespace mtastsd::daemon {
namespace {

constexpr unsigned kOwnerOnly = 0600;
constexpr unsigned kOwnerAndGroup = 0660;

// Who may connect to a unix socket that is for operators: `user`, or a group beside them.
config::Socketmap access_for(const std::string& user, const std::string& group) {
  config::Socketmap access;
  access.socket_mode = group.empty() ? kOwnerOnly : kOwnerAndGroup;
  access.socket_owner = user;
  access.socket_group = group;
  return access;
}

std::string no_such_group(const std::string& setting, const std::string& group) {
  return !group.empty() && ::getgrnam(group.c_str()) == nullptr
             ? setting + ": there is no group " + group
             : std::string();
}

// Without it, the daemon goes on.
void open_control(const config::Control& options, const std::string& user, OpenSockets& open) {
  if (options.socket.empty()) {
    return;
  }
  open.control_path = config::choose_control_socket(options.socket);
  open.control_problem = no_such_group("control.socket_group", options.socket_group);
  if (!open.control_problem.empty()) {
    return;
  }
  config::ListenAddress address;
  address.kind = config::ListenAddress::Kind::Unix;
  address.path = open.control_path;
  const config::Socketmap access = access_for(user, options.socket_group);
  std::vector<PassedSocket> none;
  std::vector<std::unique_ptr<Listener>> listeners;
  if (auto opened = open_listeners(address, access, none, listeners); !opened) {
    open.control_problem = std::move(opened.error());
    return;
  }
  open.control = std::move(listeners.front());
}

// Without one of them, the daemon goes on: Postfix needs none.
void open_http(const config::Http& options, const std::string& user,
               std::vector<PassedSocket>& passed, OpenSockets& open) {
  if (std::string problem = no_such_group("http.socket_group", options.socket_group);
      !problem.empty()) {
    open.http_problems.push_back(std::move(problem));
    return;
  }
  const config::Socketmap access = access_for(user, options.socket_group);
  for (const auto& address : options.listen) {
    if (auto opened = open_listeners(address, access, passed, open.http); !opened) {
      open.http_problems.push_back(std::move(opened.error()));
    }
  }
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
  open_http(config.http, user, passed.sockets, open);
  const bool pages_by_default = config.http.listen.empty();
  for (PassedSocket& socket : passed.sockets) {
    if (socket.for_http() ? pages_by_default : by_default) {
      (socket.for_http() ? open.http : open.socketmap)
          .push_back(Listener::adopt(std::move(socket)));
    } else {
      open.unused.push_back(std::move(socket));
    }
  }
  open_control(config.control, user, open);
  return open;
}

}  // namespace mtastsd::daemon
