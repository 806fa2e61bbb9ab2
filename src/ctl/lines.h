#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace mtastsd::ctl {

// The lines of a descriptor (not owned), read as they come. Blank lines and those that begin with
// "#" are skipped, and so is white space at both ends of a line.
class Lines {
 public:
  Lines(int fd, std::size_t longest, std::string name = "standard input")
      : fd_(fd), longest_(longest), name_(std::move(name)) {}

  // The lines of a file; "-" is standard input. Throws Trouble.
  static Lines of(const std::string& file, std::size_t longest);

  int fd() const { return fd_; }
  // For messages: "standard input: line 3".
  std::string position() const { return name_ + ": line " + std::to_string(number_); }

  // True if next() can return a line.
  bool ready() const { return end_ || buffer_.find('\n', at_) != std::string::npos; }

  // Reads once, which blocks if there is nothing to read. Throws Trouble, also for a line that is
  // too long.
  void fill();

  // A line if ready(); otherwise nullopt, and nullopt at the end.
  std::optional<std::string> next();
  // The same, and waits for the line.
  std::optional<std::string> read();
  bool at_end() const { return end_ && at_ >= buffer_.size(); }
  std::size_t number() const { return number_; }  // of the last line, from 1

 private:
  const int fd_;
  const std::size_t longest_;
  const std::string name_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t number_ = 0;
  bool end_ = false;
};

// The names on the command line, with the lines of standard input in place of "-". Throws Trouble
// for more than `most`, and for what looks like an option; `verb` is for that message.
std::vector<std::string> names_given(const char* verb, const std::vector<std::string>& words,
                                     std::size_t most);

}  // namespace mtastsd::ctl
