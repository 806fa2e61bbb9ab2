#include "http_thread.h"

#include <utility>

namespace mtastsd::daemon {

HttpThread::HttpThread(const config::Http& options, const Clock& clock,
                       const cache::LmdbStore& store, const Ask& ask,
                       std::vector<std::unique_ptr<Listener>> listeners)
    : reader_(store.make_reader()),
      server_(loop_, [this](const web::Request& request,
                            web::Server::Id connection) { site_.handle(request, connection); }),
      site_(
          clock, loop_, server_,
          [this, ask](control::Request request, web::Site::Tell tell) {
            ask(std::move(request), [this, tell = std::move(tell)](const control::Reply& reply) {
              loop_.post([tell, reply] { tell(reply); });
            });
          },
          [this](const std::string& after, std::size_t most) {
            return reader_->committed_page(after, most);
          },
          {.base_path = options.base_path}),
      acceptor_(std::make_unique<Acceptor>(
          loop_, std::move(listeners), [this](int fd) { server_.add(fd); }, [] {})) {}

HttpThread::~HttpThread() {
  stop();
}

void HttpThread::start() {
  thread_ = std::thread([this] { loop_.run(); });
}

void HttpThread::stop() {
  if (thread_.joinable()) {
    loop_.stop();
    thread_.join();
  }
  acceptor_.reset();
}

}  // namespace mtastsd::daemon
