#include "lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "mtastsd/base/text.h"
#include "trouble.h"

namespace mtastsd::ctl {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::size_t kMaxNameBytes = 4096;

// Empty for a line of blanks.
std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) {
    return {};
  }
  return line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

Lines Lines::of(const std::string& file, std::size_t longest) {
  if (file == "-") {
    return {STDIN_FILENO, longest};
  }
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Trouble(file + ": " + std::strerror(errno));
  }
  return {fd, longest, file};
}

void Lines::fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  std::array<char, 65536> bytes;
  ssize_t got = 0;
  do {
    got = ::read(fd_, bytes.data(), bytes.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    throw Trouble(name_ + " cannot be read: " + std::strerror(errno));
  }
  end_ = got == 0;
  buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  std::size_t line = number_ + 1;
  for (std::size_t at = 0; at < buffer_.size(); ++line) {
    const std::size_t end = std::min(buffer_.find('\n', at), buffer_.size());
    if (end - at > longest_) {
      throw Trouble(name_ + ": line " + std::to_string(line) + " is longer than " +
                    std::to_string(longest_) + " bytes");
    }
    at = end + 1;
  }
}

std::optional<std::string> Lines::read() {
  std::optional<std::string> line = next();
  while (!line && !at_end()) {
    fill();
    line = next();
  }
  return line;
}

std::optional<std::string> Lines::next() {
  while (at_ < buffer_.size()) {
    std::size_t end = buffer_.find('\n', at_);
    if (end == std::string::npos) {
      if (!end_) {
        return std::nullopt;
      }
      end = buffer_.size();
    }
    const auto line = std::string_view(buffer_).substr(at_, end - at_);
    at_ = std::min(end + 1, buffer_.size());
    ++number_;
    const std::string_view text = trimmed(line);
    if (!text.empty() && text.front() != '#') {
      return std::string(text);
    }
  }
  return std::nullopt;
}

std::vector<std::string> names_given(const char* verb, const std::vector<std::string>& words,
                                     std::size_t most) {
  std::vector<std::string> names;
  const auto add = [&](std::string name) {
    if (names.size() == most) {
      throw Trouble(std::string(verb) + ": at most " + std::to_string(most) + " names at once");
    }
    names.push_back(std::move(name));
  };
  for (const std::string& word : words) {
    if (word == "-") {
      Lines lines(STDIN_FILENO, kMaxNameBytes);
      while (auto line = lines.read()) {
        add(*std::move(line));
      }
    } else if (word.starts_with('-')) {
      throw Trouble(std::string(verb) + ": '" + printable(word) +
                    "' is neither an option nor a name: see --help");
    } else {
      add(word);
    }
  }
  return names;
}

}  // namespace mtastsd::ctl
