#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

// Which keys are asked for, and how they are chosen.
struct KeyOptions {
  std::string map = "postfix";
  std::string keys;       // file with one key a line, or empty:
  std::size_t names = 0;  // p00000000.bench.test, p00000001.bench.test, ... so many
  std::string choice = "uniform";
  bool once = false;  // each of them, in order
};

// The requests, framed. Chosen with a fixed seed: all servers get the same ones.
class Requests {
 public:
  explicit Requests(const KeyOptions& options);

  std::size_t size() const { return frames_.empty() ? names_ : frames_.size(); }
  // Valid until the next call.
  const std::string& next();

 private:
  std::size_t choose();

  std::vector<std::string> frames_;  // of a file's keys; of names a frame is made when it is due
  std::size_t names_ = 0;
  std::string frame_;
  std::size_t digits_at_ = 0;
  const bool once_;
  const bool zipf_;
  std::size_t asked_ = 0;
  std::uint64_t random_ = 8461;
};

}  // namespace bench
