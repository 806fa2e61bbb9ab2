#include "mtastsd/https/proxy_credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/fd.h"

namespace mtastsd::https {
namespace {

constexpr std::size_t kMaxBytes = 1024;

}  // namespace

Result<std::string, std::string> read_proxy_credentials(const std::string& path) {
  if (path.empty()) {
    return std::string();
  }
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    return failure("cannot read " + path + ": " + std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    return failure(path + " is not a file");
  }
  if ((status.st_mode & S_IRWXO) != 0) {
    return failure(path + " is open to every user of this host: \"chmod o= " + path + "\"");
  }
  std::array<char, kMaxBytes> bytes{};
  const ssize_t size = ::read(file.get(), bytes.data(), bytes.size());
  if (size < 0) {
    return failure("cannot read " + path + ": " + std::strerror(errno));
  }
  std::string text(bytes.data(), static_cast<std::size_t>(size));
  text.erase(std::min(text.size(), text.find('\n')));
  const auto colon = text.find(':');
  if (colon == std::string::npos || colon == 0 ||
      std::any_of(text.begin(), text.end(), is_control)) {
    return failure(path + " must begin with a line USER:PASSWORD");
  }
  return text;
}

}  // namespace mtastsd::https
