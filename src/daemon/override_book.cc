#include "override_book.h"

#include <algorithm>

#include "mtastsd/base/time_text.h"
#include "mtastsd/control/override_json.h"
#include "mtastsd/log/log.h"

namespace mtastsd::daemon {
namespace {

using overrides::Override;
using overrides::Scope;
using overrides::Source;
using Note = cache::LmdbStore::Note;

// What the keys of the stored ones begin with. For the configuration's, only the time counts.
constexpr std::string_view kOfFile = "file ";
constexpr std::string_view kOfCommand = "command ";

// The clock can be set: so the ends are looked at again at least so often.
constexpr Seconds kLookSpacing{60};

std::string key_of(const Override& one) {
  return std::string(one.source == Source::Configuration ? kOfFile : kOfCommand) + one.scope.str();
}

// The time comes first: see LmdbStore::Note.
Note note_of(const Override& one) {
  return {key_of(one), timestamp(one.decided_at) + " " + control::to_json(one)};
}

std::string until_text(const Override& one) {
  return one.until ? timestamp(*one.until) : "permanent";
}

std::string_view by_text(const Override& one) {
  return one.source == Source::Configuration ? std::string_view("configuration") : one.by;
}

// A warning makes sense only for what was in force for longer.
std::optional<WallTime> warn_at(const Override& one) {
  return one.until && *one.until - overrides::kWarnBefore > one.decided_at
             ? std::optional(*one.until - overrides::kWarnBefore)
             : std::nullopt;
}

}  // namespace

OverrideBook::OverrideBook(event::Timers& timers, const Clock& clock, cache::LmdbStore& store,
                           Log& log)
    : clock_(clock), store_(store), log_(log), timer_(timers.make_timer([this] { look(); })) {}

std::vector<Override> OverrideBook::values(const ByScope& overrides) {
  std::vector<Override> all;
  for (const auto& [scope, one] : overrides) {
    all.push_back(one);
  }
  return all;
}

void OverrideBook::load(std::vector<Override> configured) {
  ByScope seen;
  for (const Note& note : store_.notes()) {
    auto one = control::override_from_json(
        std::string_view(note.value).substr(std::min(note.value.find('{'), note.value.size())));
    if (!one) {
      log_.write(Event::OverrideUnreadable, {{"name", note.key}, {"reason", one.error()}});
    } else {
      (note.key.starts_with(kOfFile) ? seen : commanded_).emplace(one->scope, *one);
    }
  }
  take_over(std::move(configured), std::move(seen));
  look();
}

void OverrideBook::configure(std::vector<Override> configured) {
  take_over(std::move(configured), std::exchange(configured_, {}));
  publish(nullptr);
  look();
}

// One that is as it was before was decided when it was first seen.
void OverrideBook::take_over(std::vector<Override> configured, ByScope seen) {
  std::vector<Note> changes;
  configured_.clear();
  for (Override& one : configured) {
    const auto before = seen.find(one.scope);
    one.source = Source::Configuration;
    if (before != seen.end() && same_decision(one, before->second)) {
      one.decided_at = before->second.decided_at;
    } else {
      one.decided_at = clock_.wall();
      changes.push_back(note_of(one));
      log_added(one);
      told_of_end_.erase({one.scope, one.source});
      warned_.erase({one.scope, one.source});
    }
    if (before != seen.end()) {
      seen.erase(before);
    }
    configured_.emplace(one.scope, std::move(one));
  }
  for (const auto& [scope, gone] : seen) {
    changes.push_back({key_of(gone), ""});
    log_.write(Event::OverrideRemoved, {{"name", scope.str()},
                                        {"action", to_string(gone.action)},
                                        {"reason", gone.reason},
                                        {"by", by_text(gone)}});
  }
  // Without it, the next start takes them for decided then. It is logged that the cache is not
  // writable.
  if (!changes.empty()) {
    [[maybe_unused]] const auto written = store_.write_notes(changes);
  }
  make_table();
}

Result<void, std::string> OverrideBook::add(Override one, std::string by, event::Callback done) {
  one.source = Source::CommandLine;
  one.decided_at = clock_.wall();
  one.by = std::move(by);
  if (!one.in_force(one.decided_at)) {
    return failure("its end, " + until_text(one) + ", is over already");
  }
  ByScope next = commanded_;
  next.insert_or_assign(one.scope, one);
  if (auto fit = check_number(values(next)); !fit) {
    return fit;
  }
  if (auto written = store_.write_notes({note_of(one)}); !written) {
    return written;
  }
  commanded_ = std::move(next);
  told_of_end_.erase({one.scope, one.source});
  warned_.erase({one.scope, one.source});
  log_added(one);
  make_table();
  publish(std::move(done));
  arm(one.decided_at);
  return {};
}

Result<std::optional<Override>, std::string> OverrideBook::remove(const Scope& scope,
                                                                  std::string_view by,
                                                                  event::Callback done) {
  const auto found = commanded_.find(scope);
  if (found == commanded_.end()) {
    return std::optional<Override>();
  }
  const Override gone = found->second;
  if (auto written = store_.write_notes({{key_of(gone), ""}}); !written) {
    return failure(std::move(written.error()));
  }
  commanded_.erase(found);
  log_.write(Event::OverrideRemoved, {{"name", scope.str()},
                                      {"action", to_string(gone.action)},
                                      {"reason", gone.reason},
                                      {"by", by}});
  make_table();
  publish(std::move(done));
  return std::optional(gone);
}

void OverrideBook::log_added(const Override& one) {
  log_.write(Event::OverrideAdded, {{"name", one.scope.str()},
                                    {"action", to_string(one.action)},
                                    {"until", until_text(one)},
                                    {"reason", one.reason},
                                    {"by", by_text(one)}});
}

void OverrideBook::make_table() {
  std::vector<Override> all = values(configured_);
  for (const auto& [scope, one] : commanded_) {
    all.push_back(one);
  }
  table_ = overrides::make_table(std::move(all));
}

void OverrideBook::publish(event::Callback done) {
  if (publish_) {
    publish_(table_, std::move(done));
  }
}

// Who answers looks at the ends itself: here they are only told of, and what has ended is cleared
// away.
void OverrideBook::look() {
  const WallTime now = clock_.wall();
  if (drop_ended(now)) {
    make_table();
    publish(nullptr);
  }
  warn(now);
  arm(now);
}

// True: there are fewer of them now. Those of the configuration stay in its file, and in the list.
bool OverrideBook::drop_ended(WallTime now) {
  std::vector<Note> changes;
  for (const ByScope* overrides : {&configured_, &commanded_}) {
    for (const auto& [scope, one] : *overrides) {
      if (one.in_force(now)) {
        continue;
      }
      if (one.source == Source::CommandLine) {
        changes.push_back({key_of(one), ""});
      }
      if (told_of_end_.insert({scope, one.source}).second) {
        log_.write(Event::OverrideEnded, {{"name", scope.str()},
                                          {"action", to_string(one.action)},
                                          {"until", until_text(one)},
                                          {"reason", one.reason},
                                          {"by", by_text(one)}});
      }
    }
  }
  // While that cannot be written they stay, and count no more all the same.
  if (changes.empty() || !store_.write_notes(changes)) {
    return false;
  }
  std::erase_if(commanded_, [now](const auto& each) { return !each.second.in_force(now); });
  return true;
}

void OverrideBook::warn(WallTime now) {
  for (const ByScope* overrides : {&configured_, &commanded_}) {
    for (const auto& [scope, one] : *overrides) {
      const auto due = warn_at(one);
      if (due && *due <= now && one.in_force(now) && warned_.insert({scope, one.source}).second) {
        log_.write(Event::OverrideEndsSoon, {{"name", scope.str()},
                                             {"action", to_string(one.action)},
                                             {"until", until_text(one)},
                                             {"reason", one.reason},
                                             {"by", by_text(one)}});
      }
    }
  }
}

void OverrideBook::arm(WallTime now) {
  std::optional<WallTime> next;
  for (const ByScope* overrides : {&configured_, &commanded_}) {
    for (const auto& [scope, one] : *overrides) {
      for (const auto& time : {one.until, warn_at(one)}) {
        if (time && *time > now) {
          next = next ? std::min(*next, *time) : *time;
        }
      }
    }
  }
  if (next) {
    timer_->arm(std::min<Milliseconds>(*next - now, kLookSpacing));
  } else {
    timer_->cancel();
  }
}

}  // namespace mtastsd::daemon
