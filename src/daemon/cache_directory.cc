#include "daemon/cache_directory.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

namespace mtastsd::daemon {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool usable(const std::string& directory) {
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  return !ec && ::access(directory.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

std::string default_cache_directory() {
  std::vector<std::string> candidates;
  for (const char* name : {"STATE_DIRECTORY", "CACHE_DIRECTORY"}) {
    // systemd separates several by colons.
    if (const std::string value = environment(name); !value.empty()) {
      candidates.push_back(value.substr(0, value.find(':')));
    }
  }
  candidates.emplace_back("/var/lib/mtastsd");
  if (const std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) {
    candidates.push_back(xdg + "/mtastsd");
  }
  if (const std::string home = environment("HOME"); !home.empty()) {
    candidates.push_back(home + "/.cache/mtastsd");
  }
  for (const std::string& candidate : candidates) {
    if (usable(candidate)) {
      return candidate;
    }
  }
  return candidates.front();
}

}  // namespace mtastsd::daemon
