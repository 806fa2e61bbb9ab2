#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/reader.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/web/census.h"
#include "mtastsd/web/replies.h"
#include "mtastsd/web/request.h"
#include "mtastsd/web/response.h"

namespace mtastsd::web {

struct Frame;

// What is at which path, and where its data comes from. Belongs to the thread of its loop, which is
// none of those that answer Postfix or look up. It changes nothing.
class Site {
 public:
  using Tell = std::function<void(const control::Reply&)>;
  // Asks the daemon what mtastsctl asks it, and is told on the loop of `timers`, later or never.
  using Ask = std::function<void(control::Request, Tell)>;

  // The committed entries behind a name.
  using ReadPage = std::function<cache::Reader::Page(const std::string& after, std::size_t most)>;

  struct Options {
    std::string base_path;  // as check_prefix() has it; of links where no proxy says another
  };

  // All of it outlives this.
  Site(const Clock& clock, event::Timers& timers, Replies& replies, Ask ask, ReadPage read_page,
       Options options);

  void handle(const Request& request, Replies::Id connection);

 private:
  using OnStatus = std::function<void(const control::Status*)>;

  // Calls `then` with the state of at most kStatusAge ago, now or later; null: the daemon did not
  // say it within kStatusPatience. However many ask, the daemon is asked once at a time.
  void overview(const Request& request, Replies::Id connection);
  void list(const Request& request, Replies::Id connection);
  void domain(const Request& request, std::string_view name, Replies::Id connection);
  Frame frame_for(const Request& request) const;
  void with_status(OnStatus then);
  void on_status(const control::Reply* reply);
  std::string_view below_base(std::string_view path) const;

  const Clock& clock_;
  Replies& replies_;
  const Ask ask_;
  const ReadPage read_page_;
  const Options options_;
  std::optional<control::Status> status_;  // the last one
  SteadyTime status_at_{};
  std::uint64_t question_ = 0;     // which one the daemon was asked last
  std::vector<OnStatus> waiting_;  // for its reply: at most one for each connection
  std::unique_ptr<event::Timer> patience_;
  Census census_;
};

}  // namespace mtastsd::web
