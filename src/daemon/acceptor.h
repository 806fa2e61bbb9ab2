#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "listener.h"
#include "mtastsd/event/loop.h"

namespace mtastsd::daemon {

// Accepts on all listeners and hands the connections on. Belongs to the thread of its loop.
class Acceptor {
 public:
  // `take` owns the descriptor it is given. `make_room` is called when the process has no
  // descriptors left: closing an idle connection makes one.
  Acceptor(event::Loop& loop, std::vector<std::unique_ptr<Listener>> listeners,
           std::function<void(int fd)> take, std::function<void()> make_room);

  // Closes the listeners too. Clients that have connected and wait to be accepted are taken first,
  // or are left to the next daemon where the service manager keeps the socket.
  void close();

 private:
  void on_ready(int listening_fd);
  bool accept_some(int listening_fd, int most);

  event::Loop& loop_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::function<void(int fd)> take_;
  std::function<void()> make_room_;
  std::vector<std::unique_ptr<event::FdWatch>> watches_;  // depends-on: listeners_
  std::unique_ptr<event::Timer> resume_;
};

}  // namespace mtastsd::daemon
