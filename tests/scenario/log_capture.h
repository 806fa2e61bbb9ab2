#pragma once

#include <cstddef>
#include <string>

namespace mtastsd::test {

// What goes to stderr, where the log writes, from its making on. Sanitizers still reach the real
// one.
class LogCapture {
 public:
  LogCapture();
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  std::string text() const;
  std::size_t lines_with(const std::string& part) const;

 private:
  int file_;
  int real_stderr_;
};

}  // namespace mtastsd::test
