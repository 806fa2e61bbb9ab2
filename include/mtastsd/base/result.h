#pragma once

#include <tl/expected.hpp>
#include <utility>

namespace mtastsd {

// The value of a call that can fail, or its error. Each module has one small error type. An
// expected outcome, such as "no record", is a value and not an error.
template <typename T, typename E>
using Result = tl::expected<T, E>;

template <typename E>
auto failure(E&& error) {
  return tl::make_unexpected(std::forward<E>(error));
}

}  // namespace mtastsd
