#include "salvage.h"

#include <utility>

#include "lmdb/env.h"
#include "lmdb/pages.h"

namespace mtastsd::cache {
namespace {

constexpr Milliseconds kTakenAgain{20};
constexpr Milliseconds kCommittedLook{50};

bool of_use(const Entry& entry, WallTime now) {
  return entry.policy ? now < entry.policy->expires_at() : now < entry.recheck_at;
}

}  // namespace

Salvage::Salvage(const std::string& file, const Clock& clock, Sink sink)
    : clock_(clock), sink_(std::move(sink)), thread_([this, file] { run(file); }) {}

Salvage::~Salvage() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Salvage::wait(Milliseconds limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [this] { return all_taken_; });
}

bool Salvage::stopped(Milliseconds wait) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, wait, [this] { return stop_; });
}

void Salvage::run(const std::string& file) {
  const bool readable = salvage_records(
      file, kEntriesTable, SteadyTime::max(),
      [this](std::string_view key, std::string_view record) { return found(key, record); });
  {
    const std::lock_guard lock(mutex_);
    all_taken_ = true;
  }
  changed_.notify_all();
  while (readable && !stopped(kCommittedLook)) {
    if (sink_.all_committed()) {
      sink_.done(entries_);
      break;
    }
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
}

bool Salvage::ended() {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool Salvage::found(std::string_view key, std::string_view record) {
  const auto domain = DomainName::parse(key);
  auto decoded = decode_entry(record);
  if (!domain || !decoded || !of_use(*decoded, clock_.wall())) {
    return !stopped(Milliseconds(0));
  }
  const auto entry = std::make_shared<const Entry>(std::move(*decoded));
  while (!sink_.take(*domain, entry)) {
    if (stopped(kTakenAgain)) {
      return false;
    }
  }
  ++entries_;
  return !stopped(Milliseconds(0));
}

}  // namespace mtastsd::cache
