#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/check/findings.h"
#include "mtastsd/check/gather.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/https/curl_fetcher.h"
#include "settings.h"

namespace mtastsd::ctl {

// The command line of `check`.
struct CheckArguments {
  std::vector<std::string> domains;
  bool smtp = false;
  bool json = false;
  bool list_findings = false;
  std::string format = "text";
  std::string fail_on = "low";
  Settings settings;
  std::vector<std::string> dns;
  std::string ca_file;
  unsigned port = 0;  // 0: that of the configuration
  std::string timeout = "30s";
};

enum class CheckFormat { Text, Json, Markdown };

// What follows from the command line, the daemon's configuration and the terminal.
struct CheckSetup {
  std::vector<DomainName> domains;
  CheckFormat format = CheckFormat::Text;
  check::Severity fail_on = check::Severity::Low;
  bool colour = false;
  dns::AresOptions dns;
  https::CurlOptions https;
  discovery::Settings discovery;
  check::GatherOptions gather;
  // What the daemon's cache has of a domain; empty when there is no daemon here.
  std::function<check::Fact<check::CachedPolicy>(const DomainName&)> read_cache;
};

// Errors are one sentence.
Result<CheckSetup, std::string> make_setup(CheckArguments& arguments);

}  // namespace mtastsd::ctl
