#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"

namespace mtastsd::term {

// The properties of an output. Colours are used only on a terminal that can show them, and never if
// NO_COLOR is set (https://no-color.org).
struct Terminal {
  bool is_terminal = false;
  bool colours = false;
  std::size_t width = 80;
};
Terminal look_at(int fd);

enum class Colour { None, Bold, Dim, Red, Green, Yellow };
std::string paint(const Terminal& terminal, Colour colour, std::string_view text);

// At most `width` columns: longer text ends in "...".
std::string cut(std::string_view text, std::size_t width);

// "asking  [=====>     ] 120 of 400  12s", in at most `width` columns. Without a total there is no
// bar.
std::string progress_text(std::string_view what, std::size_t done, std::optional<std::size_t> total,
                          Milliseconds elapsed, std::size_t width);

// Shows a line on stderr for work that takes longer than a second, if stderr is a terminal.
class Progress {
 public:
  explicit Progress(std::string what, std::optional<std::size_t> total = std::nullopt);
  ~Progress() { hide(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(std::size_t done);  // how many are done
  void tick() { step(done_); }  // still waiting
  void hide();                  // before something else is printed

 private:
  const std::string what_;
  const std::optional<std::size_t> total_;
  const Terminal terminal_;
  const SteadyTime began_;
  SteadyTime shown_at_{};
  std::size_t done_ = 0;
  bool shown_ = false;
};

}  // namespace mtastsd::term
