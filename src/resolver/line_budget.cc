// Logs LinesLeftOut.

#include "line_budget.h"

#include "mtastsd/base/keyed_hash.h"
#include "mtastsd/log/log.h"

namespace mtastsd::resolver {
namespace {

constexpr std::chrono::minutes kMinute{1};

}  // namespace

bool LineBudget::spend(const std::string& owner, SteadyTime now) {
  Slot& slot = slots_[keyed_hash(owner) % slots_.size()];
  if (slot.lines == 0 || now - slot.since >= kMinute) {
    begin_anew(slot);
    slot.owner = owner;
    slot.since = now;
  }
  const bool may = slot.lines < kPerMinute;
  ++(may ? slot.lines : slot.left_out);
  return may;
}

void LineBudget::report(SteadyTime now) {
  for (Slot& slot : slots_) {
    if (slot.lines > 0 && now - slot.since >= kMinute) {
      begin_anew(slot);
    }
  }
}

void LineBudget::begin_anew(Slot& slot) {
  if (slot.left_out > 0) {
    log_.write(Event::LinesLeftOut, {{"owner", slot.owner}, {"count", slot.left_out}});
  }
  slot = {};
}

}  // namespace mtastsd::resolver
