#include "mtastsd/web/census.h"

#include <utility>

#include "mtastsd/cache/store.h"

namespace mtastsd::web {
namespace {

constexpr Milliseconds kBetweenPages{40};
constexpr Milliseconds kBetweenRounds{30000};

}  // namespace

Census::Census(const Clock& clock, event::Timers& timers, ReadPage read)
    : clock_(clock), read_(std::move(read)), timer_(timers.make_timer([this] { step(); })) {
  timer_->arm(Milliseconds(0));
}

void Census::step() {
  const cache::Reader::Page page = read_(after_);
  for (const auto& [domain, entry] : page.entries) {
    count(*entry);
  }
  after_ = page.last;
  if (!after_.empty()) {
    timer_->arm(kBetweenPages);
    return;
  }
  counting_.at = clock_.wall();
  done_ = std::exchange(counting_, {});
  timer_->arm(kBetweenRounds);
}

void Census::count(const cache::Entry& entry) {
  switch (entry.no_policy_reason) {
    case cache::NoPolicyReason::NoRecord:
      ++counting_.no_record;
      return;
    case cache::NoPolicyReason::UnusableRecord:
      ++counting_.unusable_record;
      return;
    case cache::NoPolicyReason::DnsFailed:
      ++counting_.dns_failed;
      return;
    case cache::NoPolicyReason::FetchFailed:
      ++counting_.fetch_failed;
      return;
    case cache::NoPolicyReason::None:
      break;
  }
  const WallTime now = clock_.wall();
  if (!entry.policy || entry.policy->expires_at() <= now) {
    return;
  }
  switch (entry.policy->policy.mode) {
    case mtasts::Mode::Enforce:
      ++counting_.enforce;
      break;
    case mtasts::Mode::Testing:
      ++counting_.testing;
      break;
    case mtasts::Mode::None:
      ++counting_.none;
      break;
  }
  counting_.ending_soon += entry.policy->expires_at() <= now + kSoon ? 1 : 0;
  counting_.failing += cache::is_failing(entry, now) ? 1 : 0;
}

}  // namespace mtastsd::web
