#include "mtastsd/config/places.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace mtastsd::config {
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

void add_below(std::vector<std::string>& list, const char* variable, const std::string& rest) {
  if (const std::string value = environment(variable); !value.empty()) {
    list.push_back(value + rest);
  }
}

}  // namespace

std::vector<std::string> cache_directories() {
  std::vector<std::string> candidates;
  for (const char* name : {"STATE_DIRECTORY", "CACHE_DIRECTORY"}) {
    // systemd separates several by colons.
    if (const std::string value = environment(name); !value.empty()) {
      candidates.push_back(value.substr(0, value.find(':')));
    }
  }
  candidates.emplace_back("/var/lib/mtastsd");
  add_below(candidates, "XDG_CACHE_HOME", "/mtastsd");
  add_below(candidates, "HOME", "/.cache/mtastsd");
  return candidates;
}

std::string default_cache_directory() {
  const std::vector<std::string> candidates = cache_directories();
  for (const std::string& candidate : candidates) {
    if (usable(candidate)) {
      return candidate;
    }
  }
  return candidates.front();
}

std::string find_cache_directory() {
  const std::vector<std::string> candidates = cache_directories();
  for (const std::string& candidate : candidates) {
    std::error_code ec;
    if (std::filesystem::exists(candidate + "/data.mdb", ec)) {
      return candidate;
    }
  }
  return candidates.front();
}

std::vector<std::string> control_sockets(const std::string& configured) {
  std::vector<std::string> candidates = {configured};
  if (configured == kDefaultControlSocket) {
    add_below(candidates, "XDG_RUNTIME_DIR", "/mtastsd/control.sock");
    add_below(candidates, "HOME", "/.cache/mtastsd/control.sock");
  }
  return candidates;
}

std::string choose_control_socket(const std::string& configured) {
  for (const std::string& candidate : control_sockets(configured)) {
    if (usable(candidate.substr(0, candidate.rfind('/')))) {
      return candidate;
    }
  }
  return configured;
}

}  // namespace mtastsd::config
