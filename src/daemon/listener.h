#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "activation.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"

struct addrinfo;

namespace mtastsd::daemon {

// Whether an address in its written form takes connections from other hosts: it is none in
// particular.
bool is_everywhere(std::string_view name);

// A bound, listening, non-blocking socket. A unix socket's file is removed with it, if it is
// still the one that was made here.
class Listener {
 public:
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return fd_.get(); }
  // As bound: with the port that the system chose for port 0.
  const std::string& name() const { return name_; }
  // Of the unix socket that was made here; empty for others.
  std::string directory() const { return path_.substr(0, path_.rfind('/')); }
  // True if it is the service manager's, which keeps it open for the next daemon.
  bool passed() const { return passed_; }

  // A socket of the service manager, which removes its file when it wants to.
  static std::unique_ptr<Listener> adopt(PassedSocket socket);

 private:
  friend Result<void, std::string> open_listeners(const config::ListenAddress&,
                                                  const config::Socketmap&,
                                                  std::vector<PassedSocket>&,
                                                  std::vector<std::unique_ptr<Listener>>&);
  Listener() = default;
  Result<void, std::string> open_inet(const addrinfo& where);
  Result<void, std::string> open_unix(const config::ListenAddress& address,
                                      const config::Socketmap& options);

  Fd fd_;
  bool passed_ = false;
  std::string path_;
  std::string name_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Adds the listeners for one address: one for each address of a host name, one for a path. Takes a
// socket in `passed` that is bound there in place of a new one. A stale socket file (nobody accepts
// on it) is replaced; one with a live server behind it, or a file of another kind, is an error.
// Errors are one sentence.
Result<void, std::string> open_listeners(const config::ListenAddress& address,
                                         const config::Socketmap& options,
                                         std::vector<PassedSocket>& passed,
                                         std::vector<std::unique_ptr<Listener>>& listeners);

// The numeric ids of [socketmap] socket_owner and socket_group; -1 where not set. Errors name the
// one that does not exist.
struct SocketOwner {
  uid_t user = static_cast<uid_t>(-1);
  gid_t group = static_cast<gid_t>(-1);
};
Result<SocketOwner, std::string> socket_owner(const config::Socketmap& options);

}  // namespace mtastsd::daemon
