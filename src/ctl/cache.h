#pragma once

#include <string>
#include <vector>

#include "daemon.h"

namespace mtastsd::ctl {

// The arguments of `mtastsctl cache VERB`, for all of its verbs.
struct CacheArguments {
  Settings settings;
  std::string domain;
  bool json = false;
  bool failing = false;  // list, refresh
  // list
  std::string mode;
  bool mx_mismatch = false;
  std::string expiring;
  std::string match;
  // refresh
  std::vector<std::string> domains;
  bool force = false;
  // forget
  bool yes = false;
  // export, import
  bool postfix = false;
  std::string file = "-";
};

// Each in a file of its name. They return the exit status.
int cache_list(CacheArguments& arguments);
int cache_show(CacheArguments& arguments);
int cache_history(CacheArguments& arguments);
int cache_stats(CacheArguments& arguments);
int cache_refresh(CacheArguments& arguments);
int cache_forget(CacheArguments& arguments);
int cache_export(CacheArguments& arguments);
int cache_import(CacheArguments& arguments);

}  // namespace mtastsd::ctl
