#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "mtastsd/base/result.h"

namespace mtastsd::doctor {

// The most that is kept of what a program writes, for each of its two outputs.
inline constexpr std::size_t kMaxProgramOutput = std::size_t{1} << 20;

struct Program {
  std::vector<std::string> command;  // [0] is a name for PATH or an absolute path
  std::string directory;             // to run it in; empty: this one
  std::chrono::milliseconds limit{10000};
};

struct Ended {
  int status = 0;  // exit status; 128 and more: a signal
  std::string output;
  std::string errors;
};

// Runs a program without a shell, with nothing on its stdin and the C locale, and waits for its
// end. One that is not there, runs longer than its limit (then it is killed) or writes more than
// kMaxProgramOutput is a failure, in one sentence. The directories where Postfix keeps its tools
// are searched after PATH.
Result<Ended, std::string> run_program(const Program& program);

}  // namespace mtastsd::doctor
