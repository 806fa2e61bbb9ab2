#include "socket_probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

#include "mtastsd/base/fd.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/socketmap/client.h"

namespace mtastsd::doctor {
namespace {

using config::ListenAddress;

constexpr Seconds kAskLimit{5};

struct AddrInfoFree {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

// Binds a socket for a moment: 0 or an errno.
int try_to_bind(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    return EADDRNOTAVAIL;
  }
  const std::unique_ptr<addrinfo, AddrInfoFree> list(found);
  const Fd fd(::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
      ::bind(fd.get(), list->ai_addr, list->ai_addrlen) != 0) {
    return errno;
  }
  return 0;
}

Listener try_to_make(const std::string& path) {
  Listener found;
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    found.error = errno;
    found.missing_directory = errno == ENOENT ? directory.string() : "";
  } else if (!S_ISDIR(info.st_mode)) {
    found.error = ENOTDIR;
  } else if (::lstat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
    found.error = EEXIST;
  }
  return found;
}

}  // namespace

TableAnswer ask_server(const ListenAddress& server, const std::string& map,
                       const std::string& key) {
  TableAnswer answer;
  auto client = socketmap::Client::connect(server, kAskLimit);
  if (!client) {
    answer.reason = client.error();
    answer.hidden = errno == EACCES;
    return answer;
  }
  const auto reply = client->send(map, key).and_then([&] { return client->receive(); });
  constexpr std::string_view kFound = "OK ";
  if (!reply) {
    answer.reason = reply.error();
  } else if (reply->starts_with(kFound)) {
    answer.good = true;
    answer.everything = reply->substr(kFound.size());
  } else if (reply->starts_with("NOTFOUND")) {
    answer.good = true;
  } else {
    answer.reason = "it answers \"" + *reply + "\"";
  }
  return answer;
}

Listener try_to_listen(const ListenAddress& address) {
  if (address.kind == ListenAddress::Kind::Unix) {
    return try_to_make(address.path);
  }
  Listener found;
  found.error = try_to_bind(address.host, std::to_string(address.port));
  if (found.error == EACCES) {
    found.error = 0;  // a port that mtastsd may have, but not this user
  }
  return found;
}

bool is_elsewhere(const std::string& host) {
  return IpAddress::parse(host) && try_to_bind(host, "0") == EADDRNOTAVAIL;
}

}  // namespace mtastsd::doctor
