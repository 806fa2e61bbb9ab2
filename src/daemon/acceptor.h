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

  void close();  // the listeners too

 private:
  void on_ready(int listening_fd);

  event::Loop& loop_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::function<void(int fd)> take_;
  std::function<void()> make_room_;
  std::vector<std::unique_ptr<event::FdWatch>> watches_;  // depends-on: listeners_
  std::unique_ptr<event::Timer> resume_;
};

}  // namespace mtastsd::daemon
