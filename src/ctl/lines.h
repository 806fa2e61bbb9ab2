#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "mtastsd/base/result.h"

namespace mtastsd::ctl {

// The lines of a descriptor (not owned), read as they come. Blank lines and those that begin with
// "#" are passed over, white space at both ends too.
class Lines {
 public:
  explicit Lines(int fd, std::size_t longest) : fd_(fd), longest_(longest) {}

  int fd() const { return fd_; }

  // Whether next() returns without reading.
  bool ready() const { return end_ || buffer_.find('\n', at_) != std::string::npos; }

  // Reads once, which blocks if there is nothing to read. Fails on a line that is too long.
  Result<void, std::string> fill();

  // A line if ready(); nullopt otherwise or at the end.
  std::optional<std::string> next();
  bool at_end() const { return end_ && at_ >= buffer_.size(); }
  std::size_t number() const { return number_; }  // of the last line, from 1

 private:
  const int fd_;
  const std::size_t longest_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t number_ = 0;
  bool end_ = false;
};

}  // namespace mtastsd::ctl
