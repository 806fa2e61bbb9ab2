#include "log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <utility>

namespace mtastsd {
namespace {

// How often a blocked writer looks whether it is to give up.
constexpr int kPollMilliseconds = 50;

// True when fd takes bytes or has an error for the next write to report.
bool wait_writable(int fd, const std::atomic<bool>& give_up) {
  while (!give_up.load()) {
    pollfd watched{fd, POLLOUT, 0};
    const int ready = ::poll(&watched, 1, kPollMilliseconds);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
  return false;
}

int priority(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return LOG_DEBUG;
    case LogLevel::Info:
      return LOG_INFO;
    case LogLevel::Warn:
      return LOG_WARNING;
    case LogLevel::Error:
    case LogLevel::Off:
      break;
  }
  return LOG_ERR;
}

// RFC 3164 section 4.1: "<priority>Mmm dd hh:mm:ss tag[pid]: ", the month in English.
std::string syslog_head(log_line::Time time, LogLevel level) {
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 32> clock;
  const std::size_t size = std::strftime(clock.data(), clock.size(), " %e %H:%M:%S", &local);
  std::string head = "<" + std::to_string(LOG_MAIL | priority(level)) + ">";
  head += kMonths[static_cast<std::size_t>(local.tm_mon)];
  head.append(clock.data(), size);
  head += " mtastsd[" + std::to_string(::getpid()) + "]: ";
  return head;
}

}  // namespace

StreamWriter::StreamWriter(int fd, LogFormat format, const std::atomic<bool>& give_up,
                           Reopen reopen)
    : fd_(fd), format_(format), give_up_(give_up) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return;
  if (S_ISSOCK(info.st_mode)) {
    method_ = Method::Send;
  } else if (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)) {
    method_ = Method::PollAndChunk;
    if (reopen == Reopen::IfPossible) reopen_nonblocking();
  }
}

StreamWriter::~StreamWriter() {
  if (owned_) ::close(fd_);
}

// O_NONBLOCK belongs to the open description, which we share with whoever started us: only a
// description of our own may have it. Without /proc, or for a pipe of another user, there is
// none to be had.
void StreamWriter::reopen_nonblocking() {
  const std::string path = "/proc/self/fd/" + std::to_string(fd_);
  const int own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (own < 0) return;
  fd_ = own;
  owned_ = true;
  method_ = Method::Plain;
}

long StreamWriter::put(std::string_view bytes) {
  switch (method_) {
    case Method::Plain:
      return ::write(fd_, bytes.data(), bytes.size());
    case Method::Send:
      return ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    case Method::PollAndChunk:
      break;
  }
  // A pipe that poll() calls writable has room for PIPE_BUF bytes. Another process could fill
  // it in between; then this waits for the reader after all.
  if (!wait_writable(fd_, give_up_)) {
    errno = ECANCELED;
    return -1;
  }
  return ::write(fd_, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
}

bool StreamWriter::write(log_line::Time time, LogLevel level, std::string_view body) {
  if (give_up_.load()) return false;
  line_.clear();
  log_line::append_line(line_, format_, time, level, body);
  line_ += '\n';
  std::string_view rest = line_;
  while (!rest.empty()) {
    const long written = put(rest);
    if (written > 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (written == 0 || (errno != EAGAIN && errno != EINTR)) {
      return false;
    } else if (errno == EAGAIN && !wait_writable(fd_, give_up_)) {
      return false;
    }
  }
  return true;
}

SyslogWriter::SyslogWriter(std::string path, LogFormat format, const std::atomic<bool>& give_up)
    : path_(std::move(path)), give_up_(give_up), stderr_(STDERR_FILENO, format, give_up) {}

SyslogWriter::~SyslogWriter() {
  disconnect();
}

bool SyslogWriter::connect() {
  if (fd_ >= 0) return true;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) return false;
  path_.copy(address.sun_path, path_.size());
  fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return false;
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  disconnect();
  return false;
}

void SyslogWriter::disconnect() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool SyslogWriter::send(std::string_view datagram) {
  while (true) {
    if (::send(fd_, datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return true;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || !wait_writable(fd_, give_up_)) return false;
  }
}

bool SyslogWriter::write(log_line::Time time, LogLevel level, std::string_view body) {
  if (give_up_.load()) return false;
  datagram_ = syslog_head(time, level);
  datagram_ += body;
  // Twice, because a restarted syslogd has a new socket under the old name.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (connect() && send(datagram_)) return true;
    disconnect();
  }
  return stderr_.write(time, level, body);
}

}  // namespace mtastsd
