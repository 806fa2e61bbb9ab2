#include "mtastsd/answer/recent_answers.h"

#include <cstring>
#include <functional>
#include <new>

namespace mtastsd::answer {

RecentAnswers::RecentAnswers() : slots_(static_cast<Slot*>(std::calloc(kSlots, sizeof(Slot)))) {
  static_assert(sizeof(Slot) == 256);
  if (!slots_) {
    throw std::bad_alloc();
  }
}

bool RecentAnswers::Slot::is_about(std::string_view request) const {
  return std::string_view(text.data(), request_bytes) == request;
}

std::array<RecentAnswers::Slot*, 2> RecentAnswers::slots_of(std::string_view request) const {
  const std::size_t first = std::hash<std::string_view>{}(request) % kSlots;
  return {&slots_[first], &slots_[first ^ 1]};
}

std::optional<RecentAnswers::Known> RecentAnswers::find(std::string_view request,
                                                        WallTime now) const {
  for (const Slot* slot : slots_of(request)) {
    if (slot->generation == generation_ && now >= slot->from && now < slot->until &&
        slot->is_about(request)) {
      return Known{{slot->text.data() + slot->request_bytes, slot->reply_bytes},
                   slot->standing,
                   slot->place,
                   slot->changes};
    }
  }
  return std::nullopt;
}

void RecentAnswers::keep(std::string_view request, const Known& known, WallTime now,
                         WallTime until) {
  const auto [first, second] = slots_of(request);
  const bool into_second =
      second->is_about(request) || (!first->is_about(request) && second->from < first->from);
  Slot& slot = into_second ? *second : *first;
  if (request.size() + known.reply.size() > slot.text.size()) {
    return;
  }
  slot.from = now;
  slot.until = until;
  slot.place = known.place;
  slot.changes = known.changes;
  slot.generation = generation_;
  slot.standing = known.standing;
  slot.request_bytes = static_cast<std::uint8_t>(request.size());
  slot.reply_bytes = static_cast<std::uint8_t>(known.reply.size());
  std::memcpy(slot.text.data(), request.data(), request.size());
  std::memcpy(slot.text.data() + request.size(), known.reply.data(), known.reply.size());
}

}  // namespace mtastsd::answer
