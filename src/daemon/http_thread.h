#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "acceptor.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/config/config.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/web/server.h"
#include "mtastsd/web/site.h"

namespace mtastsd::daemon {

// The thread of the pages for people and monitoring ([http]), which runs if they are listened for.
// It takes no part in answering Postfix.
class HttpThread {
 public:
  // Asks the daemon what mtastsctl asks it. Called on this thread; the reply may come on any.
  using Ask = std::function<void(control::Request, web::Site::Tell)>;

  // `clock` and `store` outlive it. What calls a Tell has to end before this object is destroyed.
  HttpThread(const config::Http& options, const Clock& clock, const cache::LmdbStore& store,
             const Ask& ask, std::vector<std::unique_ptr<Listener>> listeners);
  ~HttpThread();  // as stop()
  HttpThread(const HttpThread&) = delete;
  HttpThread& operator=(const HttpThread&) = delete;

  void start();
  // Closes the listeners and all connections, and ends the thread.
  void stop();

 private:
  event::Loop loop_;
  std::unique_ptr<cache::Reader> reader_;
  web::Server server_;  // depends-on: loop_
  web::Site site_;      // depends-on: all above
  std::unique_ptr<Acceptor> acceptor_;
  std::thread thread_;
};

}  // namespace mtastsd::daemon
