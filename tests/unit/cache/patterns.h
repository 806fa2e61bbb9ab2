#pragma once

#include <string>
#include <vector>

#include "mtastsd/mtasts/policy.h"

namespace mtastsd::test {

// So many MX patterns, of about 40 bytes each in a record.
inline std::vector<mtasts::MxPattern> patterns(int number) {
  std::vector<mtasts::MxPattern> all;
  for (int i = 0; i < number; ++i) {
    all.push_back(*mtasts::MxPattern::parse("mx" + std::to_string(i) +
                                            ".a-mail-host-with-a-long-name.example"));
  }
  return all;
}

}  // namespace mtastsd::test
