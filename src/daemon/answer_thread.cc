#include "answer_thread.h"

#include <string_view>
#include <utility>

#include "options.h"

namespace mtastsd::daemon {

AnswerThread::AnswerThread(const config::Config& config, const Clock& clock,
                           const cache::LmdbStore& store, AskResolver ask_resolver, Log& log,
                           socketmap::ConnectionCount& connections)
    : ask_resolver_(std::move(ask_resolver)),
      answerer_(clock, loop_, store, *this, log, counters_, answer_options(config)),
      server_(loop_, answerer_, server_counters_, connections, server_limits(config)),
      last_call_(loop_.make_timer([this] { answerer_.answer_all_now(); })),
      give_up_(loop_.make_timer([this] { loop_.stop(); })) {
  answerer_.set_reply([this](const socketmap::Ticket& ticket, std::string_view text) {
    server_.reply(ticket, text);
  });
}

AnswerThread::~AnswerThread() {
  loop_.stop();
  join();
}

void AnswerThread::accept_on(std::vector<std::unique_ptr<Listener>> listeners,
                             std::function<void(int fd)> take) {
  acceptor_ = std::make_unique<Acceptor>(loop_, std::move(listeners), std::move(take),
                                         [this] { server_.make_room(); });
}

void AnswerThread::start(overrides::TablePtr overrides) {
  answerer_.set_overrides(std::move(overrides));
  thread_ = std::thread([this] { loop_.run(); });
}

void AnswerThread::add_here(int fd) {
  server_.add(fd, socketmap::peer_user(fd));
}

void AnswerThread::add(int fd) {
  loop_.post([this, fd] { add_here(fd); });
}

void AnswerThread::ask(const DomainName& domain, std::uint64_t question) {
  ask_resolver_(domain, std::nullopt, waiter_for(question));
}

void AnswerThread::survey(const DomainName& domain, const dane::Target& target,
                          std::uint64_t question) {
  ask_resolver_(domain, target, waiter_for(question));
}

resolver::Waiter AnswerThread::waiter_for(std::uint64_t question) {
  if (question == 0) {
    return nullptr;
  }
  return [this, question](const resolver::Answer& answer) {
    loop_.post([this, question, answer] { answerer_.on_answer(question, answer); });
  };
}

void AnswerThread::reload(const config::Config& config) {
  loop_.post([this, options = answer_options(config)]() mutable {
    answerer_.set_options(std::move(options));
  });
}

void AnswerThread::set_overrides(overrides::TablePtr overrides, event::Callback then) {
  loop_.post([this, overrides = std::move(overrides), then = std::move(then)]() mutable {
    answerer_.set_overrides(std::move(overrides));
    then();
  });
}

void AnswerThread::set_traced(answer::Answerer::Traced traced) {
  loop_.post(
      [this, traced = std::move(traced)]() mutable { answerer_.set_traced(std::move(traced)); });
}

void AnswerThread::stop_accepting(std::function<void()> then) {
  loop_.post([this, then = std::move(then)] {
    acceptor_->close();
    then();
  });
}

void AnswerThread::begin_stop(const StopLimits& limits) {
  loop_.post([this, limits] {
    last_call_->arm(limits.answer);
    give_up_->arm(limits.stop);
    server_.drain(limits.read, [this] { loop_.stop(); });
  });
}

void AnswerThread::join() {
  if (thread_.joinable()) {
    thread_.join();
  }
}

}  // namespace mtastsd::daemon
