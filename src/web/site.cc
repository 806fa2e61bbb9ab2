#include "mtastsd/web/site.h"

#include <algorithm>
#include <utility>

#include "mtastsd/answer/answerer.h"
#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"
#include "mtastsd/control/readiness.h"
#include "mtastsd/web/metrics.h"
#include "pages.h"

namespace mtastsd::web {
namespace {

// A flood of requests asks the resolver's thread once in this time.
constexpr Milliseconds kStatusAge{1000};
constexpr Milliseconds kStatusPatience{5000};
constexpr std::size_t kCensusRecords = 1000;  // at once: about a millisecond

constexpr std::string_view kDomainPath = "/domain/";
constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kListed = 50;       // entries on a page
constexpr std::size_t kSearched = 10000;  // for it: some ten milliseconds
constexpr std::size_t kSearchedAtOnce = 500;
constexpr Seconds kAssetsKept{600};

Response asset(std::string_view type, std::string_view text) {
  return {.type = type, .body = std::string(text), .keep = kAssetsKept};
}

Response no_such_page(const Frame& frame) {
  return {
      .status = 404,
      .body = page(frame, "No such page", Tab::None,
                   message("There is no such page", "The links above lead to those that are."))};
}

// A text that is less than all names that begin with the prefix, and more than those before.
std::string just_before(std::string_view prefix) {
  std::string text(prefix);
  if (!text.empty()) {
    --text.back();
    text += '\x7f';
  }
  return text;
}

Response readiness(const control::Status* status) {
  if (status == nullptr) {
    return plain(503, "not ready: the thread that looks up does not reply");
  }
  const auto reason = control::not_ready(*status);
  return reason ? plain(503, "not ready: " + printable(*reason)) : plain(200, "ready");
}

}  // namespace

Site::Site(const Clock& clock, event::Timers& timers, Replies& replies, Ask ask, ReadPage read_page,
           Options options)
    : clock_(clock),
      replies_(replies),
      ask_(std::move(ask)),
      read_page_(std::move(read_page)),
      options_(std::move(options)),
      patience_(timers.make_timer([this] { on_status(nullptr); })),
      census_(clock, timers,
              [this](const std::string& after) { return read_page_(after, kCensusRecords); }) {}

void Site::handle(const Request& request, Replies::Id connection) {
  const std::string_view path = below_base(request.path);
  if (path == "/healthz") {
    replies_.reply(connection, plain(200, "alive"));
  } else if (path == "/readyz") {
    with_status([this, connection](const control::Status* status) {
      replies_.reply(connection, readiness(status));
    });
  } else if (path == "/metrics") {
    with_status([this, connection](const control::Status* status) {
      replies_.reply(connection, status == nullptr
                                     ? plain(503, "The thread that looks up does not reply.")
                                     : Response{.type = kMetricsType,
                                                .body = metrics_text(*status, this_process(),
                                                                     census_.totals())});
    });
  } else if (path == "/") {
    overview(request, connection);
  } else if (path == "/policies") {
    list(request, connection);
  } else if (path.starts_with(kDomainPath)) {
    domain(request, path.substr(kDomainPath.size()), connection);
  } else if (path == "/style.css") {
    replies_.reply(connection, asset("text/css; charset=utf-8", style_sheet()));
  } else if (path == "/icon.svg") {
    replies_.reply(connection, asset("image/svg+xml", icon()));
  } else if (path == "/update.js") {
    replies_.reply(connection, asset("text/javascript; charset=utf-8", script()));
  } else {
    replies_.reply(connection, no_such_page(frame_for(request)));
  }
}

Frame Site::frame_for(const Request& request) const {
  return {.prefix = request.prefix.empty() ? options_.base_path : request.prefix,
          .now = clock_.wall()};
}

void Site::overview(const Request& request, Replies::Id connection) {
  with_status([this, frame = frame_for(request), connection](const control::Status* status) {
    const Html main =
        status != nullptr
            ? web::overview(frame, *status, census_.totals())
            : message("mtastsd does not reply",
                      "The thread that looks up is busy or hangs. The log says more.");
    replies_.reply(connection, {.status = status != nullptr ? 200 : 503,
                                .body = page(frame, "Overview", Tab::Overview, main)});
  });
}

// A part of the cache is searched for one page: the next part is a link away.
void Site::list(const Request& request, Replies::Id connection) {
  const Frame frame = frame_for(request);
  const Filter filter{.state = parse_state(request.parameter("state")),
                      .prefix = lower_case(request.parameter("name").substr(0, kMaxNameBytes)),
                      .after = lower_case(request.parameter("after").substr(0, kMaxNameBytes))};
  List found;
  std::string after = std::max(filter.after, just_before(filter.prefix));
  for (bool more = true; more && found.entries.size() < kListed && found.searched < kSearched;) {
    const cache::Reader::Page read = read_page_(after, kSearchedAtOnce);
    after = read.last;
    more = !after.empty();
    for (const auto& [domain, entry] : read.entries) {
      if (!domain.view().starts_with(filter.prefix)) {
        more = false;
        break;
      }
      if (found.entries.size() == kListed) {
        found.next = found.entries.back().first.str();
        break;
      }
      ++found.searched;
      if (filter.takes(*entry, frame.now)) {
        found.entries.emplace_back(domain, entry);
      }
    }
    if (more && found.next.empty() &&
        (found.entries.size() == kListed || found.searched >= kSearched)) {
      found.next = after;
    }
  }
  replies_.reply(connection,
                 {.body = page(frame, "Policies", Tab::Policies, web::list(frame, filter, found))});
}

void Site::domain(const Request& request, std::string_view name, Replies::Id connection) {
  const Frame frame = frame_for(request);
  const auto domain = DomainName::parse_utf8(name);
  if (!domain) {
    replies_.reply(
        connection,
        {.status = 404,
         .body = page(frame, "No domain", Tab::None,
                      message("This is not the name of a domain", name.substr(0, kMaxNameBytes)))});
    return;
  }
  // Nothing is looked up: whoever opens the page makes no connections.
  ask_(
      control::ExplainRequest{
          .map = std::string(answer::kDefaultMap), .key = domain->str(), .look_up = false},
      [this, frame, domain = *domain, connection](const control::Reply& reply) {
        const auto* explained = reply ? std::get_if<control::Explained>(&*reply) : nullptr;
        const Html main =
            explained == nullptr
                ? message("mtastsd does not reply", reply ? "" : reply.error().message)
                : domain_page(frame, domain, explained->explanation.entry, &explained->explanation);
        replies_.reply(connection, {.status = explained == nullptr ? 503 : 200,
                                    .body = page(frame, domain.view(), Tab::Policies, main)});
      });
}

// A proxy may pass the path on with the base path or without.
std::string_view Site::below_base(std::string_view path) const {
  const std::string& base = options_.base_path;
  if (!base.empty() && path.starts_with(base) &&
      (path.size() == base.size() || path[base.size()] == '/')) {
    path.remove_prefix(base.size());
  }
  return path.empty() ? "/" : path;
}

void Site::with_status(OnStatus then) {
  if (status_ && clock_.steady() - status_at_ < kStatusAge) {
    then(&*status_);
    return;
  }
  waiting_.push_back(std::move(then));
  if (waiting_.size() > 1) {
    return;
  }
  patience_->arm(kStatusPatience);
  ask_(control::StatusRequest{.count_failing = false},
       [this, question = ++question_](const control::Reply& reply) {
         if (question == question_) {
           on_status(&reply);
         }
       });
}

// Null: the daemon took too long.
void Site::on_status(const control::Reply* reply) {
  ++question_;
  patience_->cancel();
  status_.reset();
  if (reply != nullptr && *reply) {
    if (const auto* status = std::get_if<control::Status>(&**reply)) {
      status_ = *status;
      status_at_ = clock_.steady();
    }
  }
  for (const OnStatus& then : std::exchange(waiting_, {})) {
    then(status_ ? &*status_ : nullptr);
  }
}

}  // namespace mtastsd::web
