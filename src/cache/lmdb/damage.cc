#include "lmdb/damage.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace mtastsd::cache {
namespace {

std::array<char, 501> message;
std::atomic<std::size_t> message_size{0};
std::atomic<int> mark{-1};
std::atomic<int> status{0};

// Only system calls that a signal handler may make.
void on_bus_error(int) {
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, message.data(), message_size);
  if (mark >= 0) {
    written = ::pwrite(mark, &kDamagedMark, 1, 0);
  }
  ::_exit(status);
}

}  // namespace

void end_on_lost_page(std::string_view line, int mark_fd, int exit_status) {
  message_size = line.copy(message.data(), message.size() - 1);
  message[message_size++] = '\n';
  mark = mark_fd;
  status = exit_status;
  struct sigaction action {};
  action.sa_handler = on_bus_error;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace mtastsd::cache
