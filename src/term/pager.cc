#include "mtastsd/term/pager.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string_view>

#include "mtastsd/term/terminal.h"

namespace mtastsd::term {
namespace {

// Without this, less runs commands and writes files for those who use it, with the rights of the
// program that started it. Other pagers do not look at it.
constexpr char kSecure[] = "LESSSECURE";

// less exits if everything fits on the screen, keeps colours, and leaves the text on the screen.
constexpr char kPager[] = "command -v less >/dev/null && exec less -FRSX; exec cat";

}  // namespace

void Pager::begin() {
  out_ = stdout;
  // When the user closes the pager or the pipe, only the listing ends.
  std::signal(SIGPIPE, SIG_IGN);
  const char* set = std::getenv("PAGER");
  const std::string_view command = set != nullptr ? set : kPager;
  if (!look_at(STDOUT_FILENO).is_terminal || command.empty() || command == "cat") {
    return;
  }
  ::setenv(kSecure, "1", 1);
  if (std::FILE* pipe = ::popen(command.data(), "w"); pipe != nullptr) {
    out_ = pipe;
    started_ = true;
  }
}

bool Pager::line(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), out_) == text.size() &&
         std::fputc('\n', out_) != EOF;
}

void Pager::end() {
  if (started_) {
    ::pclose(out_);
    started_ = false;
  } else if (out_ != nullptr) {
    std::fflush(out_);
  }
  out_ = nullptr;
}

}  // namespace mtastsd::term
