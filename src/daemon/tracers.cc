#include "tracers.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "mtastsd/base/time_text.h"

namespace mtastsd::daemon {
namespace {

constexpr Milliseconds kTick{100};
constexpr Milliseconds kWait{1000};  // for something to tell

// With milliseconds, which the clock of those who decide does not have.
std::string time_text() {
  const auto now = std::chrono::system_clock::now();
  const auto second = std::chrono::floor<Seconds>(now);
  std::string text = timestamp(second);
  text.pop_back();  // the Z
  return fmt::format("{}.{:03}Z", text,
                     std::chrono::duration_cast<Milliseconds>(now - second).count());
}

}  // namespace

Tracers::Tracers(event::Timers& timers, const Clock& clock, Log& log, SetTraced set_traced)
    : clock_(clock),
      log_(log),
      set_traced_(std::move(set_traced)),
      timer_(timers.make_timer([this] { look(); })) {}

Result<void, std::string> Tracers::follow(std::uint64_t connection, const DomainName& domain,
                                          Reply reply) {
  const SteadyTime now = clock_.steady();
  const auto it = tracers_.find(connection);
  const bool begins = it == tracers_.end() || it->second.domain != domain;
  if (it == tracers_.end() && tracers_.size() == kMost) {
    return failure(std::to_string(kMost) + " domains are being traced already");
  }
  {
    const std::lock_guard lock(mutex_);
    if (begins) {
      tracers_.insert_or_assign(connection, Tracer{.domain = domain, .since = now});
    }
    Tracer& tracer = tracers_.find(connection)->second;
    tracer.asked_at = now;
    tracer.reply = std::move(reply);
  }
  if (begins) {
    domains_changed();
  }
  timer_->arm(kTick);
  return {};
}

// On the thread that logs.
void Tracers::note(const EventRow& row, Log::Fields fields) {
  const auto of_domain = std::find_if(fields.begin(), fields.end(),
                                      [](const LogField& field) { return field.key == "domain"; });
  if (of_domain == fields.end()) {
    return;
  }
  const std::lock_guard lock(mutex_);
  for (auto& [connection, tracer] : tracers_) {
    if (tracer.domain.view() != of_domain->text) {
      continue;
    }
    if (tracer.got.events.size() == kMaxEvents) {
      ++tracer.got.lost;
    } else {
      tracer.got.events.push_back("{\"time\":\"" + time_text() + "\"," + Log::json_of(row, fields));
    }
  }
}

void Tracers::look() {
  const SteadyTime now = clock_.steady();
  bool changed = false;
  std::vector<std::pair<Reply, control::Traced>> replies;
  for (auto it = tracers_.begin(); it != tracers_.end();) {
    Tracer& tracer = it->second;
    const bool ended = now - tracer.since >= kLongest;
    const std::unique_lock lock(mutex_);
    const bool something = !tracer.got.events.empty() || ended;
    if (tracer.reply && (something || now - tracer.asked_at >= kWait)) {
      tracer.got.ended = ended;
      replies.emplace_back(std::exchange(tracer.reply, nullptr), std::exchange(tracer.got, {}));
    }
    const bool gone = ended || now - tracer.asked_at >= kPatience;
    changed = changed || gone;
    it = gone ? tracers_.erase(it) : std::next(it);
  }
  if (changed) {
    domains_changed();
  }
  if (!tracers_.empty()) {
    timer_->arm(kTick);
  }
  // Last and without the lock: a reply can bring the next request, and can be logged.
  for (auto& [reply, got] : replies) {
    reply(std::move(got));
  }
}

void Tracers::domains_changed() {
  auto domains = std::make_shared<std::vector<DomainName>>();
  for (const auto& [connection, tracer] : tracers_) {
    domains->push_back(tracer.domain);
  }
  if (domains->empty()) {
    watcher_.reset();
    set_traced_(nullptr);
    return;
  }
  if (!watcher_) {
    watcher_ = log_.watch(LogLevel::Trace,
                          [this](const EventRow& row, Log::Fields fields) { note(row, fields); });
  }
  set_traced_(std::move(domains));
}

}  // namespace mtastsd::daemon
