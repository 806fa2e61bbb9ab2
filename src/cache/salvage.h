#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "mtastsd/base/domain_name.h"

namespace mtastsd::cache {

// Reads a data file in another process: what LMDB does with a page that is no page is to abort, or
// to follow it out of the file.

// Whether everything in the cache directory can be read. A very large cache that takes too long
// counts as read.
bool readable_throughout(const std::string& directory);

// Hands over the sound records of a damaged file, from both ends up to what cannot be read, some
// of them twice. For a limited time.
void salvage(const std::string& data_file,
             const std::function<void(const DomainName& domain, std::string_view record)>& found);

}  // namespace mtastsd::cache
