#include "syslog_socket.h"

#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "mtastsd/base/unix_socket.h"

namespace mtastsd {
namespace {

// By LogLevel.
constexpr std::array kPriorities = {LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_ERR};

// RFC 3164 section 4.1: "<priority>Mmm dd hh:mm:ss tag[pid]: ". The month is in English, because
// nothing here calls setlocale().
std::string head(std::chrono::system_clock::time_point time, LogLevel level) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 32> date;
  const std::size_t size = std::strftime(date.data(), date.size(), "%b %e %H:%M:%S", &local);
  return "<" + std::to_string(LOG_MAIL | kPriorities.at(static_cast<std::size_t>(level))) + ">" +
         std::string(date.data(), size) + " mtastsd[" + std::to_string(::getpid()) + "]: ";
}

}  // namespace

bool SyslogSocket::send(std::chrono::system_clock::time_point time, LogLevel level,
                        std::string_view line) {
  const std::string datagram = head(time, level).append(line);
  // Two attempts, because a restarted syslog daemon has a new socket under the old name.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!fd_) {
      fd_ = connect_unix(path_, SOCK_DGRAM);
    }
    ssize_t sent = -1;
    do {
      sent = ::send(fd_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
      return true;
    }
    fd_.reset();
  }
  return false;
}

}  // namespace mtastsd
