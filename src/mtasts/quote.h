#pragma once

#include <string>
#include <string_view>

namespace mtastsd::mtasts {

// Remote text for an error's detail: in double quotes, everything but printable ASCII as
// \xHH, cut short.
std::string quote(std::string_view text);

}  // namespace mtastsd::mtasts
