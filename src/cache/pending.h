#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/cache/versions.h"

namespace mtastsd::cache {

// What a change is known from, which decides whether it takes the place of a committed record.
enum class Origin : std::uint8_t {
  Resolver,  // always
  // The resolver, while not all of the cache could be read: it may not know of a policy that is in
  // force. "No policy" does not replace one that was when this was found out.
  Blind,
  // A damaged file: only where nothing as new is there. A policy, of which only those in force are
  // salvaged, counts more than "no policy" of any time.
  Salvaged,
};

// A change that waits for its commit.
struct Change {
  EntryPtr entry;  // null: the domain is to be erased
  Origin origin = Origin::Resolver;
  std::uint64_t sequence = 0;  // tells a later change of the same domain
};

// True where `change` is what holds, although `committed` is in the file.
bool replaces(const Change& change, const EntryFacts& committed);

// The changes that wait for their commit. Any thread may call anything. Bounded in number and in
// bytes: "no policy" results give way to anything else; what still has no room is refused.
class Pending {
 public:
  static constexpr std::size_t kMaxChanges = 30000;
  static constexpr std::size_t kMaxBytes = std::size_t{64} << 20;

  explicit Pending(std::size_t max_changes = kMaxChanges, std::size_t max_bytes = kMaxBytes)
      : max_changes_(max_changes), max_bytes_(max_bytes) {}

  // Without a lock where nothing waits for the domain.
  std::optional<Change> find(const DomainName& domain) const;

  // False: there was no room, and nothing is changed. True as well where what waits is to stay: see
  // Origin.
  [[nodiscard]] bool put(const DomainName& domain, EntryPtr entry, Origin origin);

  struct Item {
    DomainName domain;
    Change change;
  };
  // Some of them, up to a number and about so many bytes. They go on waiting.
  std::vector<Item> batch(std::size_t most, std::size_t bytes) const;
  // Those behind `after` (empty: all), in the order of names.
  std::vector<Item> behind(std::string_view after) const;
  // They are committed. `skipped`: the committed record was kept instead.
  void committed(const Item& item, bool skipped);

  // Calls `visit` for each one, with the lock held.
  void each(const std::function<void(const DomainName&, const Change&)>& visit) const;

  std::size_t size() const;
  std::size_t bytes() const;
  bool empty() const { return size() == 0; }
  std::size_t salvaged() const;  // of these, out of a damaged file
  // True while there is room for a bulk import.
  bool has_room() const;
  // False while hardly anything more can be kept: what a refresh found would be lost.
  bool has_room_to_refresh() const;

  const Versions& versions() const { return versions_; }

 private:
  struct ByName {
    using is_transparent = void;
    static std::string_view name(const DomainName& domain) { return domain.view(); }
    static std::string_view name(std::string_view text) { return text; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return name(a) < name(b);
    }
  };
  using Map = std::map<DomainName, Change, ByName>;

  // With mutex_ held.
  bool fits(std::size_t bytes) const;  // one change more, of so many bytes
  bool make_room(std::size_t bytes);
  void drop_negatives(std::size_t bytes);
  void count(const Change& change);
  void discount(const Change& change);

  const std::size_t max_changes_;
  const std::size_t max_bytes_;
  Versions versions_;

  mutable std::mutex mutex_;
  Map changes_;                 // guarded by mutex_
  std::size_t bytes_ = 0;       // guarded by mutex_: of all entries
  std::size_t negatives_ = 0;   // guarded by mutex_
  std::size_t salvaged_ = 0;    // guarded by mutex_
  std::uint64_t sequence_ = 0;  // guarded by mutex_
};

}  // namespace mtastsd::cache
