#pragma once

#include <string>

#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"
#include "mtastsd/control/client.h"
#include "trouble.h"
#include "verb.h"

namespace mtastsd::ctl {

// The daemon's configuration, so that the tool looks where the daemon does.
struct Settings {
  std::string path;  // of the file; empty: /etc/mtastsd/mtastsd.toml if it exists
  config::Config config;

  void add_option(Verb& verb);
  // Reads the file. Throws Trouble.
  void load();
};

// Connects to the control socket of the running daemon. The error is a sentence which says that no
// daemon runs. Throws Trouble if one runs and cannot be used.
Result<control::Client, std::string> connect_to_daemon(const Settings& settings);

}  // namespace mtastsd::ctl
