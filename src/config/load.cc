// The defaults, and reading the file and the environment.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include "keys.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/config/config.h"

namespace mtastsd::config {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

std::string reason(int error) {
  return std::generic_category().message(error);
}

Result<std::string, std::string> read_file(const std::string& path) {
  // Without O_NONBLOCK, a pipe without a writer would block the start for ever.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    return failure(
        "cannot be opened: " + reason(errno) +
        (errno == EACCES ? ": run as root, or give the file to the group of this user" : ""));
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    return failure("cannot be read: " + reason(errno));
  }
  if (S_ISDIR(info.st_mode)) {
    return failure(std::string("is a directory; name the configuration file in it"));
  }
  // /dev/null is a way to get the defaults.
  if (!S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode)) {
    return failure(std::string("is not a regular file"));
  }
  std::string text;
  std::array<char, 16384> buffer;
  while (text.size() <= kMaxFileBytes) {
    const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
    if (size == 0) {
      return text;
    }
    if (size > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(size));
    } else if (errno != EINTR) {
      return failure("cannot be read: " + reason(errno));
    }
  }
  return failure(std::string("is larger than 1MiB, which is too large for a configuration file"));
}

}  // namespace

Config defaults() {
  Config config;
  ListenAddress listen;
  listen.kind = ListenAddress::Kind::Inet;
  listen.host = "127.0.0.1";
  listen.port = 8461;
  config.socketmap.listen = {listen};
  config.maps["postfix"] = {};
  config.maps["postfixWithTLSRPT"] = {.report_attributes = true};
  config.maps["dane"] = {.dane = true};
  config.maps["daneWithTLSRPT"] = {.report_attributes = true, .dane = true};
  // The names of postfix-tlspol, whose documentation sets Postfix up for DANE.
  config.maps["QUERY"] = {.dane = true};
  config.maps["QUERYwithTLSRPT"] = {.report_attributes = true, .dane = true};
  return config;
}

Environment environment() {
  Environment found;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (text.starts_with(kVariablePrefix) && equals != std::string_view::npos) {
      found.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return found;
}

Result<Config, ConfigError> load(const std::string& path, Origins* origins) {
  const auto text = read_file(path);
  if (!text) {
    return failure(ConfigError{path + ": " + text.error()});
  }
  return parse(*text, path, environment(), origins);
}

Result<Config, ConfigError> load_or_defaults(std::string& path, Origins* origins) {
  // Only a missing file means the defaults. A file that cannot be read is an error.
  if (path.empty() &&
      (::access(kDefaultFile, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))) {
    path = kDefaultFile;
  }
  if (path.empty()) {
    return parse("", "", environment(), origins);
  }
  return load(path, origins);
}

}  // namespace mtastsd::config
