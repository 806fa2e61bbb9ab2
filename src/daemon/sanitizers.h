#pragma once

namespace mtastsd::daemon {

// A program with sanitizers inspects itself, by ptrace(2) and more, and must be allowed to.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace mtastsd::daemon
