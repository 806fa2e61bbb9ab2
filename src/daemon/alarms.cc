#include "alarms.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/time_text.h"

namespace mtastsd::daemon {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  std::string text = name.data();
  std::erase_if(text, [](char c) { return !is_alnum(c) && c != '.' && c != '-'; });
  return text;
}

// The fields that say what an event is about: the same in each line about it.
std::string subject_of(const EventRow& row, Log::Fields fields) {
  std::string subject(row.key);
  for (const LogField& field : fields) {
    if (field.key == "domain" || field.key == "name" || field.key == "mode") {
      subject += " " + std::string(field.text);
    }
  }
  return subject;
}

Alarm kind_of(const EventRow& row, Log::Fields fields) {
  const bool ends_soon = std::any_of(fields.begin(), fields.end(), [](const LogField& field) {
    return field.key == "expires_in_s" && field.number <= Alarms::kEndsSoon.count();
  });
  return row.alarm == Alarm::RefreshFails && ends_soon ? Alarm::PolicyEndsSoon : row.alarm;
}

}  // namespace

Alarms::Alarms(event::Loop& loop, const Clock& clock, Log& log, Fd runner)
    : clock_(clock), log_(log), runner_(std::move(runner)), host_(host_name()) {
  static_assert(static_cast<std::size_t>(Alarm::ResolverTrouble) + 1 == kKinds);
  reports_ =
      loop.watch(runner_.get(), event::Interest::Read, [this](event::Interest) { read_reports(); });
  watcher_ = log_.watch(LogLevel::Warn,
                        [this](const EventRow& row, Log::Fields fields) { raise(row, fields); });
}

void Alarms::raise(const EventRow& row, Log::Fields fields) {
  const Alarm kind = kind_of(row, fields);
  const SteadyTime now = clock_.steady();
  const std::string what = std::string(to_string(kind)) + " " + subject_of(row, fields);
  if (kind == Alarm::None || repeats(what, now)) {
    return;
  }
  Budget& budget = budgets_[static_cast<std::size_t>(kind)];
  if (budget.sent == 0 || now - budget.since >= std::chrono::hours(1)) {
    budget.since = now;
    budget.sent = 0;
  }
  const std::string document = "{\"time\":\"" + timestamp(clock_.wall()) + "\",\"host\":\"" +
                               host_ + "\",\"alarm\":\"" + std::string(to_string(kind)) +
                               "\",\"left_out\":" + std::to_string(budget.left_out) + "," +
                               Log::json_of(row, fields) + "\n";
  const bool sent =
      budget.sent < kMostAnHour &&
      ::send(runner_.get(), document.data(), document.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  if (!sent) {
    ++budget.left_out;
    return;
  }
  budget.left_out = 0;
  ++budget.sent;
  raised_[what] = now;
}

bool Alarms::repeats(const std::string& what, SteadyTime now) {
  std::erase_if(raised_, [now](const auto& each) { return now - each.second >= kQuiet; });
  return raised_.contains(what);
}

void Alarms::read_reports() {
  std::array<char, 512> report;
  ssize_t size = 0;
  while ((size = ::recv(runner_.get(), report.data(), report.size(), MSG_DONTWAIT)) > 0) {
    log_.write(Event::AlarmFailed,
               {{"reason", std::string_view(report.data(), static_cast<std::size_t>(size))}});
  }
  if (size == 0) {
    log_.write(Event::AlarmFailed,
               {{"reason", "is run no more: the process that runs it has ended; restart mtastsd"}});
    reports_->set(event::Interest::None);
  }
}

}  // namespace mtastsd::daemon
