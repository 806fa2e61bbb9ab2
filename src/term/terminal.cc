#include "mtastsd/term/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "mtastsd/base/utf8.h"
#include "mtastsd/term/time_text.h"

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

std::string_view code_of(Colour colour) {
  switch (colour) {
    case Colour::None:
      return "";
    case Colour::Bold:
      return "\x1b[1m";
    case Colour::Dim:
      return "\x1b[2m";
    case Colour::Red:
      return "\x1b[31m";
    case Colour::Green:
      return "\x1b[32m";
    case Colour::Yellow:
      return "\x1b[33m";
  }
  return "";
}

std::size_t sequence_size(unsigned char first) {
  return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

// C1 controls and the marks that turn the direction of text are as able to deceive as C0.
bool is_deceiving(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) {
    return byte(0) < 0x20 || byte(0) == 0x7f;
  }
  const bool c1 = byte(0) == 0xc2 && byte(1) < 0xa0;
  const bool bidi = character.size() == 3 && byte(0) == 0xe2 &&
                    ((byte(1) == 0x80 && (byte(2) >= 0x8e && byte(2) <= 0xae)) ||
                     (byte(1) == 0x81 && byte(2) >= 0xa0 && byte(2) <= 0xaf));
  return c1 || bidi;
}

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
  const std::string_view code = terminal.colours ? code_of(colour) : "";
  if (code.empty()) {
    return std::string(text);
  }
  return std::string(code) + std::string(text) + "\x1b[0m";
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = std::min(sequence_size(text.front()), text.size());
    const std::string_view character = text.substr(0, size);
    if (is_utf8(character) && !is_deceiving(character)) {
      out += character;
      text.remove_prefix(size);
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof(escaped), "\\x%02x", static_cast<unsigned char>(text.front()));
    out += escaped;
    text.remove_prefix(1);
  }
  return out;
}

std::string cut(std::string_view text, std::size_t width) {
  constexpr std::string_view kEnd = "...";
  const auto starts_character = [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  };
  std::size_t columns = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    columns += starts_character(text[i]) ? 1 : 0;
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
  // The last column stays free: a terminal may begin a new line there.
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
