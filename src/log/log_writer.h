#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "log_line.h"
#include "mtastsd/log/log.h"

namespace mtastsd {

// Where lines end up. Used by one thread. A write may wait as long as the other side takes
// nothing, but not longer than a moment after `give_up` has been set; after that all lines are
// lost at once.
class LineWriter {
 public:
  virtual ~LineWriter() = default;
  // False when the line is lost.
  virtual bool write(log_line::Time time, LogLevel level, std::string_view body) = 0;
};

// Lines with time and level to a file, pipe, terminal or socket that others may share: its
// O_NONBLOCK flag is left as it is.
class StreamWriter final : public LineWriter {
 public:
  enum class Reopen { IfPossible, Never };

  StreamWriter(int fd, LogFormat format, const std::atomic<bool>& give_up,
               Reopen reopen = Reopen::IfPossible);
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;
  ~StreamWriter() override;

  bool write(log_line::Time time, LogLevel level, std::string_view body) override;

 private:
  // How to write without waiting.
  enum class Method {
    Plain,         // a regular file, or our own non-blocking description
    Send,          // a socket
    PollAndChunk,  // a pipe or terminal whose description blocks
  };

  void reopen_nonblocking();
  long put(std::string_view bytes);

  int fd_;
  bool owned_ = false;
  Method method_ = Method::Plain;
  LogFormat format_;
  const std::atomic<bool>& give_up_;
  std::string line_;
};

// Bodies as datagrams to the local syslog socket, with the priority of the level in facility
// mail. What it does not take is written to stderr. Speaks to the socket itself because
// syslog(3) blocks without limit and keeps its state in globals.
class SyslogWriter final : public LineWriter {
 public:
  SyslogWriter(std::string path, LogFormat format, const std::atomic<bool>& give_up);
  SyslogWriter(const SyslogWriter&) = delete;
  SyslogWriter& operator=(const SyslogWriter&) = delete;
  ~SyslogWriter() override;

  bool write(log_line::Time time, LogLevel level, std::string_view body) override;

 private:
  bool connect();
  void disconnect();
  bool send(std::string_view datagram);

  std::string path_;
  const std::atomic<bool>& give_up_;
  StreamWriter stderr_;
  int fd_ = -1;
  std::string datagram_;
};

}  // namespace mtastsd
