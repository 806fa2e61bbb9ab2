#include "alarm_runner.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

namespace mtastsd::daemon {
namespace {

constexpr Milliseconds kTimeLimit{30000};
constexpr rlim_t kOpenFiles = 1024;  // what a program expects; the daemon has raised its own
constexpr int kNotRunnable = 126;    // exit status, as a shell has it
constexpr unsigned kFirstOther = STDERR_FILENO + 1;

// Descriptors 0 to 2 lead to `input` and to nowhere, and there are no others.
bool take_descriptors(int input) {
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  return nowhere >= 0 && ::dup2(input, STDIN_FILENO) >= 0 && ::dup2(nowhere, STDOUT_FILENO) >= 0 &&
         ::dup2(nowhere, STDERR_FILENO) >= 0 && ::close_range(kFirstOther, ~0U, 0) == 0;
}

// Ignored and blocked signals are inherited by programs.
void have_default_signals() {
  for (const int number : {SIGPIPE, SIGCHLD, SIGINT, SIGTERM, SIGHUP}) {
    std::signal(number, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become_command(const std::vector<std::string>& command, int input) {
  std::vector<char*> words;
  for (const std::string& word : command) {
    words.push_back(const_cast<char*>(word.c_str()));  // execve(2) changes nothing
  }
  words.push_back(nullptr);
  // Nothing of ours: there may be the password of a proxy in it.
  std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  std::array<char*, 2> environment = {path.data(), nullptr};
  have_default_signals();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > kOpenFiles) {
    limit.rlim_cur = kOpenFiles;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (::setsid() >= 0 && ::chdir("/") == 0 && take_descriptors(input)) {
    ::execve(words[0], words.data(), environment.data());
  }
  ::_exit(kNotRunnable);
}

// A file that is nowhere, because a pipe would have to be written to while the command runs.
Fd file_with(std::string_view document) {
  Fd file(::memfd_create("alarm", MFD_CLOEXEC));
  const auto size = static_cast<ssize_t>(document.size());
  if (file && (::write(file.get(), document.data(), document.size()) != size ||
               ::lseek(file.get(), 0, SEEK_SET) != 0)) {
    file.reset();
  }
  return file;
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    return "was ended by signal " + std::to_string(WTERMSIG(status));
  }
  if (WEXITSTATUS(status) == kNotRunnable) {
    return "could not be run";
  }
  return WEXITSTATUS(status) == 0 ? "" : "ended with status " + std::to_string(WEXITSTATUS(status));
}

std::string wait_for(pid_t child, SteadyTime deadline, Milliseconds limit) {
  constexpr timespec kStep{0, 10'000'000};
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      ::kill(-child, SIGKILL);
      ::kill(child, SIGKILL);  // it may not have got as far as a session of its own
      ::waitpid(child, &status, 0);
      return "did not end within " + std::to_string(limit.count() / 1000) + " s and was killed";
    }
    ::nanosleep(&kStep, nullptr);
  }
  return describe(status);
}

[[noreturn]] void serve(const Fd& socket, const std::vector<std::string>& command) {
  ::prctl(PR_SET_NAME, "mtastsd-alarms", 0, 0, 0);
  have_default_signals();
  const int nowhere = ::open("/dev/null", O_RDWR);
  const int kept = STDERR_FILENO + 1;
  if (nowhere < 0 || ::dup2(nowhere, STDIN_FILENO) < 0 || ::dup2(nowhere, STDOUT_FILENO) < 0 ||
      ::dup2(nowhere, STDERR_FILENO) < 0 ||
      (socket.get() != kept && ::dup2(socket.get(), kept) < 0) ||
      ::close_range(kept + 1, ~0U, 0) != 0) {
    ::_exit(1);
  }
  const auto tell = [](const std::string& what) {
    ::send(kept, what.data(), what.size(), MSG_NOSIGNAL);
  };
  if (::access(command[0].c_str(), X_OK) != 0) {
    tell(std::string("cannot be run: ") + std::strerror(errno));
  }
  std::string document(kMaxDocumentBytes, '\0');
  while (true) {
    const ssize_t size = ::recv(kept, document.data(), document.size(), 0);
    if (size <= 0) {
      ::_exit(0);
    }
    const std::string wrong = run_alarm_command(
        command, std::string_view(document).substr(0, static_cast<std::size_t>(size)), kTimeLimit);
    if (!wrong.empty()) {
      tell(wrong);
    }
  }
}

}  // namespace

std::string run_alarm_command(const std::vector<std::string>& command, std::string_view document,
                              Milliseconds limit) {
  if (::access(command[0].c_str(), X_OK) != 0) {
    return std::string("cannot be run: ") + std::strerror(errno);
  }
  const Fd input = file_with(document);
  const SteadyTime deadline = std::chrono::steady_clock::now() + limit;
  const pid_t child = input ? ::fork() : -1;
  if (child == 0) {
    become_command(command, input.get());
  }
  if (child < 0) {
    return std::string("could not be run: ") + std::strerror(errno);
  }
  return wait_for(child, deadline, limit);
}

Result<Fd, std::string> start_alarm_runner(const std::vector<std::string>& command) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return failure("alarm.command: " + std::string(std::strerror(errno)));
  }
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    serve(theirs, command);
  }
  if (child < 0 || ::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) {
    return failure("alarm.command: " + std::string(std::strerror(errno)));
  }
  std::signal(SIGCHLD, SIG_IGN);  // nobody waits for it
  return ours;
}

}  // namespace mtastsd::daemon
