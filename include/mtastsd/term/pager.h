#pragma once

#include <cstdio>
#include <string_view>

namespace mtastsd::term {

// Lines to stdout, on a terminal through $PAGER, else through less if there is one, which goes
// away by itself when all fits on the screen. Nothing is started before begin().
class Pager {
 public:
  Pager() = default;
  ~Pager() { end(); }
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;

  void begin();
  // False when the reader is gone.
  bool line(std::string_view text);
  void end();

 private:
  std::FILE* out_ = nullptr;
  bool started_ = false;
};

}  // namespace mtastsd::term
