#include "mtastsd/answer/reply_memo.h"

#include <cstring>
#include <new>
#include <utility>

#include "mtastsd/base/keyed_hash.h"

namespace mtastsd::answer {

ReplyMemo::ReplyMemo(const cache::Versions& versions)
    : versions_(versions), table_(static_cast<Table*>(std::calloc(1, sizeof(Table)))) {
  static_assert(sizeof(Entry) == 256);
  if (!table_) {
    throw std::bad_alloc();
  }
}

bool ReplyMemo::holds(const Entry& entry, std::string_view request, WallTime now) const {
  return entry.generation == generation_ && now >= entry.from && now < entry.until &&
         std::string_view(entry.text.data(), entry.request_bytes) == request &&
         entry.version == versions_.version(entry.slot);
}

std::optional<ReplyMemo::Known> ReplyMemo::find(std::string_view request, WallTime now) const {
  const std::size_t hash = keyed_hash(request);
  for (const std::size_t at : places_of(hash)) {
    const Entry& entry = table_->entries[at];
    if (table_->kept[at] == mark_of(hash) && holds(entry, request, now)) {
      return Known{{entry.text.data() + entry.request_bytes, entry.reply_bytes},
                   entry.standing,
                   entry.slot,
                   entry.version};
    }
  }
  return std::nullopt;
}

void ReplyMemo::keep(std::string_view request, const Known& known, WallTime from, WallTime until) {
  if (request.size() + known.reply.size() > kText) {
    return;
  }
  const std::size_t hash = keyed_hash(request);
  if (std::exchange(table_->seen[hash % kSeen], mark_of(hash)) != mark_of(hash)) {
    return;
  }
  const auto [first, second] = places_of(hash);
  const bool first_is_older = table_->entries[first].from <= table_->entries[second].from;
  const std::size_t at = first_is_older ? first : second;
  table_->kept[at] = mark_of(hash);
  Entry& entry = table_->entries[at];
  entry.from = from;
  entry.until = until;
  entry.version = known.version;
  entry.slot = known.slot;
  entry.generation = generation_;
  entry.standing = known.standing;
  entry.request_bytes = static_cast<std::uint8_t>(request.size());
  entry.reply_bytes = static_cast<std::uint8_t>(known.reply.size());
  std::memcpy(entry.text.data(), request.data(), request.size());
  std::memcpy(entry.text.data() + request.size(), known.reply.data(), known.reply.size());
}

}  // namespace mtastsd::answer
