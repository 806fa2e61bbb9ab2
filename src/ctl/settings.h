#pragma once

#include <string>

#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"
#include "verb.h"

namespace mtastsd::ctl {

// The daemon's configuration, so that the tool looks where the daemon does.
struct Settings {
  std::string path;  // of the file; empty: /etc/mtastsd/mtastsd.toml if it is there
  config::Config config;

  void add_option(Verb& verb);
  // Reads the file. Errors are one sentence.
  Result<void, std::string> load();
};

}  // namespace mtastsd::ctl
