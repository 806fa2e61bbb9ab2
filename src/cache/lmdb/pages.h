#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"

// Reads a cache's data file without LMDB, which trusts every page and ends the process at one that
// is damaged. Knows the layout of LMDB 0.9's pages; each offset that comes out of the file is
// checked before it is used, so that any bytes can be read. Pages are read by read calls and not
// mapped. Pure but for these: no state, no log.
namespace mtastsd::cache {

enum class Examined {
  Sound,    // every page that was looked at is
  Damaged,  // pages are damaged or gone, or a table has not all of its keys
  Missing,  // there is no file, or an empty one
};

// Looks at the pages that LMDB needs first (its free list, the tables' roots) and then at the
// others until `limit` is over; what it does not get to counts as sound. Nobody may be writing.
Examined examine(const std::string& data_file, Milliseconds limit);

// Hands over every record of a table that can be read: those that the table's tree leads to and,
// when a branch of it is lost, those on any other page. These may be older ones, removed ones and
// those of other tables. The key and the record are bytes out of a damaged file. Ends when `found`
// returns false, or at `until`. Returns false where the file cannot be opened, or nothing of it can
// be read.
using FoundRecord = std::function<bool(std::string_view key, std::string_view record)>;
bool salvage_records(const std::string& data_file, std::string_view table, SteadyTime until,
                     const FoundRecord& found);

}  // namespace mtastsd::cache
