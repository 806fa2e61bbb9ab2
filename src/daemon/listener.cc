#include "listener.h"

#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "mtastsd/base/unix_socket.h"

namespace mtastsd::daemon {
namespace {

constexpr int kBacklog = 1024;

std::string errno_text() {
  return std::strerror(errno);
}

struct AddrInfoFree {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

// Connections take them over from the socket that listens.
void set_connection_options(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

std::string numeric_name(const addrinfo& where) {
  char host[NI_MAXHOST] = "?";
  char port[NI_MAXSERV] = "?";
  getnameinfo(where.ai_addr, where.ai_addrlen, host, sizeof(host), port, sizeof(port),
              NI_NUMERICHOST | NI_NUMERICSERV);
  const std::string text = host;
  return "inet:" + (where.ai_family == AF_INET6 ? "[" + text + "]" : text) + ":" + port;
}

// Changes the owner of the socket that was just bound at `path`. Where others may write to the
// directory, something else can be there by now, and is left alone.
Result<void, std::string> give_away(const std::string& path, const SocketOwner& owner,
                                    const struct ::stat& made) {
  if (owner.user == static_cast<uid_t>(-1) && owner.group == static_cast<gid_t>(-1)) {
    return {};
  }
  const Fd object(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct ::stat now {};
  if (!object || ::fstat(object.get(), &now) != 0 || now.st_dev != made.st_dev ||
      now.st_ino != made.st_ino || !S_ISSOCK(now.st_mode) || now.st_uid != ::geteuid() ||
      now.st_nlink != 1) {
    return failure(std::string("somebody replaced the socket while it was made"));
  }
  if (::fchownat(object.get(), "", owner.user, owner.group, AT_EMPTY_PATH) != 0) {
    return failure("cannot set owner and group: " + errno_text() +
                   " (run as root, or as a member of the group)");
  }
  return {};
}

// Whether the unix socket at `path` was left behind: only a refused connection says so. One
// that cannot be asked (not permitted, of another type) may be somebody's.
bool left_behind(const std::string& path) {
  return !connect_unix(path, SOCK_STREAM | SOCK_NONBLOCK) && errno == ECONNREFUSED;
}

}  // namespace

Result<SocketOwner, std::string> socket_owner(const config::Socketmap& options) {
  SocketOwner owner;
  if (!options.socket_owner.empty()) {
    const std::string& name = options.socket_owner;
    const passwd* user = getpwnam(name.c_str());
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), owner.user);
    if (user != nullptr) {
      owner.user = user->pw_uid;
    } else if (error != std::errc() || end != name.data() + name.size()) {
      return failure("socketmap.socket_owner: there is no user \"" + name + "\"");
    }
  }
  if (!options.socket_group.empty()) {
    const group* group = getgrnam(options.socket_group.c_str());
    if (group == nullptr) {
      return failure("socketmap.socket_group: there is no group \"" + options.socket_group + "\"");
    }
    owner.group = group->gr_gid;
  }
  return owner;
}

Listener::~Listener() {
  struct ::stat now {};
  if (inode_ != 0 && ::lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ &&
      now.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

Result<void, std::string> Listener::open_inet(const addrinfo& where) {
  fd_.reset(::socket(where.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) {
    return failure(errno_text());
  }
  const int on = 1;
  setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (where.ai_family == AF_INET6) {
    setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  set_connection_options(fd_.get());
  if (::bind(fd_.get(), where.ai_addr, where.ai_addrlen) != 0) {
    const bool taken = errno == EADDRINUSE;
    return failure(errno_text() + (taken ? ": is another mtastsd running? stop it, or change listen"
                                         : std::string()));
  }
  if (::listen(fd_.get(), kBacklog) != 0) {
    return failure(errno_text());
  }
  name_ = bound_name(fd_.get());
  return {};
}

Result<void, std::string> Listener::open_unix(const config::ListenAddress& address,
                                              const config::Socketmap& options) {
  const auto where = UnixAddress::of(address.path);
  if (!where) {
    return failure(std::string("the path is longer than a unix socket's may be"));
  }
  struct ::stat old {};
  if (::lstat(address.path.c_str(), &old) == 0) {
    if (!S_ISSOCK(old.st_mode)) {
      return failure(std::string("a file that is no socket is there: move it away"));
    }
    if (!left_behind(address.path)) {
      return failure(
          std::string("another server answers there: stop it, or configure another path"));
    }
    ::unlink(address.path.c_str());
  }
  const auto owner = socket_owner(options);
  if (!owner) {
    return failure(owner.error());
  }
  fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) {
    return failure(errno_text());
  }
  // /run is empty after a boot.
  ::mkdir(address.path.substr(0, address.path.rfind('/')).c_str(), 0755);
  const mode_t mask = ::umask(0777U & ~options.socket_mode);
  const int rc = ::bind(fd_.get(), where->get(), where->size);
  const int bind_errno = errno;
  ::umask(mask);
  if (rc != 0) {
    return failure(std::string(std::strerror(bind_errno)) +
                   (bind_errno == ENOENT ? ": create its directory first" : ""));
  }
  path_ = address.path;
  name_ = address.str();
  struct ::stat made {};
  if (::lstat(path_.c_str(), &made) == 0) {
    device_ = made.st_dev;
    inode_ = made.st_ino;
  }
  if (auto given = give_away(path_, *owner, made); !given) {
    return given;
  }
  if (::listen(fd_.get(), kBacklog) != 0) {
    return failure(errno_text());
  }
  return {};
}

bool is_everywhere(std::string_view name) {
  return name.starts_with("inet:0.0.0.0:") || name.starts_with("inet:[::]:");
}

std::unique_ptr<Listener> Listener::adopt(PassedSocket socket) {
  auto listener = std::unique_ptr<Listener>(new Listener);
  listener->fd_ = std::move(socket.fd);
  listener->name_ = std::move(socket.name);
  listener->passed_ = true;
  set_connection_options(listener->fd());
  return listener;
}

Result<void, std::string> open_listeners(const config::ListenAddress& address,
                                         const config::Socketmap& options,
                                         std::vector<PassedSocket>& passed,
                                         std::vector<std::unique_ptr<Listener>>& listeners) {
  const std::string prefix = "cannot listen on " + address.str() + ": ";
  const auto was_passed = [&](const std::string& name) {
    const auto it = std::find_if(passed.begin(), passed.end(),
                                 [&](const PassedSocket& one) { return one.name == name; });
    if (it == passed.end()) {
      return false;
    }
    listeners.push_back(Listener::adopt(std::move(*it)));
    passed.erase(it);
    return true;
  };
  if (address.kind == config::ListenAddress::Kind::Unix) {
    if (was_passed(address.str())) {
      return {};
    }
    auto listener = std::unique_ptr<Listener>(new Listener);
    if (auto opened = listener->open_unix(address, options); !opened) {
      return failure(prefix + opened.error());
    }
    listeners.push_back(std::move(listener));
    return {};
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int rc =
          getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
      rc != 0) {
    return failure(prefix + "host \"" + address.host + "\": " + gai_strerror(rc));
  }
  const std::unique_ptr<addrinfo, AddrInfoFree> list(found);
  // Postfix may come by any address of the name.
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (was_passed(numeric_name(*one))) {
      continue;
    }
    auto listener = std::unique_ptr<Listener>(new Listener);
    if (auto opened = listener->open_inet(*one); !opened) {
      return failure(prefix + opened.error());
    }
    listeners.push_back(std::move(listener));
  }
  return {};
}

}  // namespace mtastsd::daemon
