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

std::optional<std::string> find_program(const std::string& name) {
  if (name.starts_with('/')) {
    return ::access(name.c_str(), X_OK) == 0 ? std::optional(name) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  const std::string where = std::string(path != nullptr ? path : "") + kMorePath;
  for (std::size_t begin = 0; begin <= where.size();) {
    const std::size_t end = std::min(where.find(':', begin), where.size());
    const std::string file = where.substr(begin, end - begin) + "/" + name;
    if (end > begin && ::access(file.c_str(), X_OK) == 0) {
      return file;
    }
    begin = end + 1;
  }
  return std::nullopt;
}

// What the program sees of our environment: Postfix's messages are read, so they are in English.
std::vector<std::string> environment() {
  std::vector<std::string> kept = {"LC_ALL=C"};
  for (const char* name : {"PATH", "HOME", "TZ"}) {
    if (const char* value = std::getenv(name); value != nullptr) {
      kept.push_back(std::string(name) + "=" + value);
    }
  }
  return kept;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (std::string& word : words) {
    list.push_back(word.data());
  }
  list.push_back(nullptr);
  return list;
}

[[noreturn]] void become(const std::string& file, char* const* arguments, char* const* env,
                         const std::string& directory, int output, int errors) {
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(errors, 2) < 0 ||
      (!directory.empty() && ::chdir(directory.c_str()) != 0)) {
    ::_exit(kNotRunnable);
  }
  ::setpgid(0, 0);
  ::execve(file.c_str(), arguments, env);
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
  const auto file = find_program(name);
  if (!file) {
    return failure(name + " was not found");
  }
  std::vector<std::string> words = program.command;
  std::vector<std::string> env_words = environment();
  const std::vector<char*> arguments = pointers(words);
  const std::vector<char*> env = pointers(env_words);
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
    become(*file, arguments.data(), env.data(), program.directory, output->writing.get(),
           errors->writing.get());
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
    return failure(name + " could not be run");
  }
  return ended;
}

}  // namespace mtastsd::doctor
