#pragma once

#include <string>
#include <string_view>

#include "mtastsd/control/protocol.h"

// What a plugin prints for Nagios and its relatives (Icinga, Naemon): a line with a state, a text
// and performance data. Pure.
namespace mtastsd::ctl {

// The values are the exit statuses that the monitoring reads.
enum class Health { Ok = 0, Warning = 1, Critical = 2, Unknown = 3 };

struct PluginResult {
  Health health = Health::Unknown;
  std::string line;  // without a newline, and fit for a terminal
};

// For a daemon that has answered. A stranger can have mail sent to domains that fail, so policies
// that cannot be refreshed only count in the performance data. So does what has only a counter
// since the start, because such a state would last until a restart.
PluginResult plugin_result(const control::Status& status);

// For one that has not.
PluginResult plugin_result(Health health, std::string_view reason);

}  // namespace mtastsd::ctl
