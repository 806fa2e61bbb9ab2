#pragma once

#include <cstdint>
#include <string_view>

#include "mtastsd/web/response.h"

namespace mtastsd::web {

// Where responses go: the server, or in tests a list. All of it does nothing for a connection that
// is gone.
class Replies {
 public:
  using Id = std::uint64_t;  // of a connection

  virtual ~Replies() = default;
  virtual void reply(Id connection, const Response& response) = 0;
  // A response that comes in parts: its head and what `response.body` has, then the parts.
  virtual void begin(Id connection, const Response& response) = 0;
  virtual void more(Id connection, std::string_view part) = 0;
  virtual void end(Id connection) = 0;
  virtual bool is_open(Id connection) const = 0;
};

}  // namespace mtastsd::web
