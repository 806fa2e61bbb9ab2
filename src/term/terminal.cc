#include "mtastsd/term/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "mtastsd/base/time_text.h"
#include "mtastsd/base/utf8.h"

namespace mtastsd::term {
namespace {

constexpr std::size_t kLeastWidth = 40;
constexpr std::size_t kMostWidth = 500;
constexpr std::size_t kBarWidth = 24;
constexpr Milliseconds kShowAfter{1000};
constexpr Milliseconds kBetween{100};

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

// In the order of Colour.
constexpr std::array<std::string_view, 6> kCodes = {"",         "\x1b[1m",  "\x1b[2m",
                                                    "\x1b[31m", "\x1b[32m", "\x1b[33m"};

}  // namespace

Terminal look_at(int fd) {
  Terminal terminal;
  terminal.is_terminal = ::isatty(fd) == 1;
  if (!terminal.is_terminal) {
    return terminal;
  }
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.width = std::clamp<std::size_t>(size.ws_col, kLeastWidth, kMostWidth);
  }
  const char* kind = std::getenv("TERM");
  terminal.colours = !is_set("NO_COLOR") && kind != nullptr && std::string_view(kind) != "dumb";
  return terminal;
}

std::string paint(const Terminal& terminal, Colour colour, std::string_view text) {
  const std::string_view code = terminal.colours ? kCodes.at(static_cast<std::size_t>(colour)) : "";
  if (code.empty()) {
    return std::string(text);
  }
  return std::string(code) + std::string(text) + "\x1b[0m";
}

std::string cut(std::string_view text, std::size_t width) {
  constexpr std::string_view kEnd = "...";
  std::size_t columns = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    columns += is_continuation(text[i]) ? 0 : 1;
    if (columns + kEnd.size() <= width) {
      kept = i + 1;
    }
  }
  if (columns <= width) {
    return std::string(text);
  }
  if (width <= kEnd.size()) {
    return std::string(width, '.');
  }
  return std::string(text.substr(0, kept)) + std::string(kEnd);
}

std::string progress_text(std::string_view what, std::size_t done, std::optional<std::size_t> total,
                          Milliseconds elapsed, std::size_t width) {
  std::string text(what);
  if (total && *total > 0) {
    const std::size_t shown = std::min(done, *total);
    const std::size_t filled = shown * kBarWidth / *total;
    std::string bar(filled, '=');
    if (filled < kBarWidth) {
      bar += '>';
    }
    bar.resize(kBarWidth, ' ');
    text += "  [" + bar + "] " + std::to_string(shown) + " of " + std::to_string(*total);
  } else if (done > 0) {
    text += "  " + std::to_string(done);
  }
  text += "  " + span_text(std::chrono::duration_cast<Seconds>(elapsed));
  return cut(text, width);
}

Progress::Progress(std::string what, std::optional<std::size_t> total)
    : what_(std::move(what)),
      total_(total),
      terminal_(look_at(STDERR_FILENO)),
      began_(std::chrono::steady_clock::now()) {}

void Progress::step(std::size_t done) {
  done_ = done;
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!terminal_.is_terminal || now - began_ < kShowAfter || now - shown_at_ < kBetween) {
    return;
  }
  shown_at_ = now;
  shown_ = true;
  const auto elapsed = std::chrono::duration_cast<Milliseconds>(now - began_);
  // The last column stays free, because a terminal may begin a new line there.
  const std::string text = progress_text(what_, done_, total_, elapsed, terminal_.width - 1);
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
}

void Progress::hide() {
  if (shown_) {
    std::fputs("\r\x1b[K", stderr);
    shown_ = false;
  }
}

}  // namespace mtastsd::term
