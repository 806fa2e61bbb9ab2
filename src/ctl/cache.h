#pragma once

#include <string>

#include "settings.h"

namespace mtastsd::ctl {

// The arguments of `mtastsctl cache VERB`, for all of its verbs.
struct CacheArguments {
  Settings settings;
  std::string domain;
  bool json = false;
  // list
  std::string mode;
  bool failing = false;
  std::string expiring;
  std::string match;
  // forget
  bool yes = false;
  // export, import
  bool postfix = false;
  std::string file = "-";
};

// Each in a file of its name. They return the exit status.
int cache_list(const CacheArguments& arguments);
int cache_show(const CacheArguments& arguments);
int cache_stats(const CacheArguments& arguments);
int cache_refresh(const CacheArguments& arguments);
int cache_forget(const CacheArguments& arguments);
int cache_export(const CacheArguments& arguments);
int cache_import(const CacheArguments& arguments);

}  // namespace mtastsd::ctl
