#pragma once

#include <cstdio>
#include <string_view>

namespace mtastsd::term {

// Prints lines on stdout. On a terminal they go through $PAGER, or otherwise through less if it is
// installed, which exits by itself if all lines fit on the screen. begin() starts the pager.
class Pager {
 public:
  Pager() = default;
  ~Pager() { end(); }
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;

  void begin();
  // Returns false if the reader is gone.
  bool line(std::string_view text);
  void end();

 private:
  std::FILE* out_ = nullptr;
  bool started_ = false;
};

}  // namespace mtastsd::term
