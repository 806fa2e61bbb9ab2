#pragma once

#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"

namespace mtastsd::ctl {

// Asks a socketmap server as Postfix does: one request in flight, blocking, at most 100 s for
// each step. Errors are one sentence.
class SocketmapClient {
 public:
  static Result<SocketmapClient, std::string> connect(const config::ListenAddress& server);
  SocketmapClient(SocketmapClient&& other) noexcept;
  SocketmapClient& operator=(SocketmapClient&&) = delete;
  ~SocketmapClient();

  // The reply without its frame.
  Result<std::string, std::string> ask(std::string_view map, std::string_view key);

 private:
  explicit SocketmapClient(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace mtastsd::ctl
