#include "program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "mtastsd/base/fd.h"

namespace mtastsd::doctor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kMorePath = ":/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin";
// Exit statuses of the child before it is the program, as a shell has them.
constexpr int kNotRunnable = 126;
constexpr int kNotFound = 127;

struct Pipe {
  Fd reading;
  Fd writing;
};

std::optional<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    return std::nullopt;
  }
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

// Becomes the program. It sees little of our environment: Postfix's messages are read, so they are
// in English.
[[noreturn]] void become(const Program& program, const Pipe& output, const Pipe& errors) {
  constexpr std::array kKept = {"PATH", "HOME", "TZ"};
  std::array<std::string, kKept.size()> values;
  for (std::size_t i = 0; i < kKept.size(); ++i) {
    const char* value = std::getenv(kKept.at(i));
    values.at(i) = value != nullptr ? value : "";
  }
  ::clearenv();
  values[0] += kMorePath;
  for (std::size_t i = 0; i < kKept.size(); ++i) {
    if (!values.at(i).empty()) {
      ::setenv(kKept.at(i), values.at(i).c_str(), 1);
    }
  }
  ::setenv("LC_ALL", "C", 1);
  std::vector<char*> arguments;
  for (const std::string& word : program.command) {
    arguments.push_back(const_cast<char*>(word.c_str()));  // execvp(3) changes nothing
  }
  arguments.push_back(nullptr);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, 0) < 0 || ::dup2(output.writing.get(), 1) < 0 ||
      ::dup2(errors.writing.get(), 2) < 0 ||
      (!program.directory.empty() && ::chdir(program.directory.c_str()) != 0) ||
      ::setpgid(0, 0) != 0) {
    ::_exit(kNotRunnable);
  }
  ::execvp(arguments[0], arguments.data());
  ::_exit(errno == ENOENT ? kNotFound : kNotRunnable);
}

// False at the end of the output, or when it is too much.
bool read_some(int fd, std::string& into, bool& too_much) {
  std::array<char, 16384> buffer;
  const ssize_t size = ::read(fd, buffer.data(), buffer.size());
  if (size < 0) {
    return errno == EINTR;
  }
  if (size == 0) {
    return false;
  }
  if (into.size() + static_cast<std::size_t>(size) > kMaxProgramOutput) {
    too_much = true;
    return false;
  }
  into.append(buffer.data(), static_cast<std::size_t>(size));
  return true;
}

// Both outputs to their ends; an error is the sentence why not.
std::optional<std::string> read_both(Pipe& output, Pipe& errors, Ended& ended,
                                     steady_clock::time_point deadline) {
  while (output.reading || errors.reading) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) {
      return "did not end in time";
    }
    pollfd fds[] = {{output.reading.get(), POLLIN, 0}, {errors.reading.get(), POLLIN, 0}};
    if (::poll(fds, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return std::strerror(errno);
    }
    bool too_much = false;
    if (fds[0].revents != 0 && !read_some(fds[0].fd, ended.output, too_much)) {
      output.reading.reset();
    }
    if (fds[1].revents != 0 && !read_some(fds[1].fd, ended.errors, too_much)) {
      errors.reading.reset();
    }
    if (too_much) {
      return "wrote more than a tool of Postfix does";
    }
  }
  return std::nullopt;
}

// The status, once the child has ended; nullopt when the time is over.
std::optional<int> wait_for(pid_t pid, steady_clock::time_point deadline) {
  constexpr timespec kStep{0, 5'000'000};
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (steady_clock::now() >= deadline) {
      return std::nullopt;
    }
    ::nanosleep(&kStep, nullptr);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void kill_and_reap(pid_t pid) {
  ::kill(-pid, SIGKILL);
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<Ended, std::string> run_program(const Program& program) {
  const std::string& name = program.command.at(0);
  auto output = make_pipe();
  auto errors = make_pipe();
  if (!output || !errors) {
    return failure(name + ": " + std::strerror(errno));
  }
  const auto deadline = steady_clock::now() + program.limit;
  const pid_t pid = ::fork();
  if (pid < 0) {
    return failure(name + ": " + std::strerror(errno));
  }
  if (pid == 0) {
    become(program, *output, *errors);
  }
  output->writing.reset();
  errors->writing.reset();
  Ended ended;
  if (const auto wrong = read_both(*output, *errors, ended, deadline)) {
    kill_and_reap(pid);
    return failure(name + " " + *wrong);
  }
  const auto status = wait_for(pid, deadline);
  if (!status) {
    kill_and_reap(pid);
    return failure(name + " did not end in time");
  }
  ended.status = *status;
  if (ended.status == kNotRunnable || ended.status == kNotFound) {
    return failure(name + (ended.status == kNotFound ? " was not found" : " could not be run"));
  }
  return ended;
}

}  // namespace mtastsd::doctor
