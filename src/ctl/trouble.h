#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "mtastsd/base/result.h"

namespace mtastsd::ctl {

// Ends a verb with the exit status term::kTrouble. main() prints the message, which is one sentence
// and says what to do.
class Trouble : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The value of a result. If it has none, its error ends the verb.
template <typename T, typename E>
T need(Result<T, E> result) {
  if (!result) {
    if constexpr (std::is_same_v<E, std::string>) {
      throw Trouble(result.error());
    } else {
      throw Trouble(result.error().message);
    }
  }
  if constexpr (!std::is_void_v<T>) {
    return std::move(*result);
  }
}

}  // namespace mtastsd::ctl
