#include "mtastsd/answer/recent_answers.h"

#include <cstring>
#include <functional>
#include <new>
#include <utility>

namespace mtastsd::answer {

RecentAnswers::RecentAnswers() : table_(static_cast<Table*>(std::calloc(1, sizeof(Table)))) {
  static_assert(sizeof(Slot) == 256);
  if (!table_) {
    throw std::bad_alloc();
  }
}

bool RecentAnswers::Slot::is_about(std::string_view request) const {
  return std::string_view(text.data(), request_bytes) == request;
}

RecentAnswers::Places RecentAnswers::places_of(std::string_view request) {
  const std::size_t hash = std::hash<std::string_view>{}(request);
  const std::size_t first = hash % kSlots;
  return {first, first ^ 1, hash % kSeen, static_cast<std::uint16_t>(hash / kSeen)};
}

std::optional<RecentAnswers::Known> RecentAnswers::find(std::string_view request,
                                                        WallTime now) const {
  const Places places = places_of(request);
  for (const std::size_t at : {places.first, places.second}) {
    if (table_->kept[at] != places.mark) {
      continue;
    }
    const Slot& slot = table_->slots[at];
    if (slot.generation == generation_ && now >= slot.from && now < slot.until &&
        slot.is_about(request)) {
      return Known{{slot.text.data() + slot.request_bytes, slot.reply_bytes},
                   slot.standing,
                   slot.place,
                   slot.changes};
    }
  }
  return std::nullopt;
}

void RecentAnswers::keep(std::string_view request, const Known& known, WallTime now,
                         WallTime until) {
  if (request.size() + known.reply.size() > kText) {
    return;
  }
  const Places places = places_of(request);
  if (std::exchange(table_->seen[places.seen], places.mark) != places.mark) {
    return;
  }
  const Slot& first = table_->slots[places.first];
  const Slot& second = table_->slots[places.second];
  const bool into_second =
      second.is_about(request) || (!first.is_about(request) && second.from < first.from);
  const std::size_t at = into_second ? places.second : places.first;
  table_->kept[at] = places.mark;
  Slot& slot = table_->slots[at];
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
