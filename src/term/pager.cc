#include "mtastsd/term/pager.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>

#include "mtastsd/term/terminal.h"

namespace mtastsd::term {
namespace {

// Exits if everything fits on the screen, keeps colours, and leaves the text on the screen.
constexpr char kLess[] = "less -FRSX";

bool is_installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (::access((std::string(rest.substr(0, end)) + "/" + program).c_str(), X_OK) == 0) {
      return true;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

std::string pager_command() {
  const char* set = std::getenv("PAGER");
  if (set != nullptr) {
    return set;
  }
  return is_installed("less") ? kLess : "";
}

}  // namespace

void Pager::begin() {
  out_ = stdout;
  // When the user closes the pager or the pipe, only the listing ends.
  std::signal(SIGPIPE, SIG_IGN);
  const std::string command = look_at(STDOUT_FILENO).is_terminal ? pager_command() : "";
  if (command.empty() || command == "cat") {
    return;
  }
  if (std::FILE* pipe = ::popen(command.c_str(), "w"); pipe != nullptr) {
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
