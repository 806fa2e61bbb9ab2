#include "simulation/trace.h"

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

namespace mtastsd::simulation {

void Trace::add(std::size_t domain, const char* what, std::string detail) {
  std::deque<Event>& kept = events_[domain];
  if (kept.size() == kKept) {
    kept.pop_front();
  }
  kept.push_back({clock_.steady(), clock_.wall(), ++order_, what, std::move(detail)});
}

std::string Trace::about(std::size_t domain, std::size_t most) const {
  std::vector<const Event*> chosen;
  for (const std::size_t whose : {domain, kNoDomain}) {
    if (const auto it = events_.find(whose); it != events_.end()) {
      for (const Event& event : it->second) {
        chosen.push_back(&event);
      }
    }
    if (domain == kNoDomain) {
      break;
    }
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const Event* a, const Event* b) { return a->order < b->order; });
  chosen.erase(chosen.begin(),
               chosen.end() - static_cast<std::ptrdiff_t>(std::min(most, chosen.size())));
  std::string text;
  for (const Event* event : chosen) {
    const auto ms = std::chrono::duration_cast<Milliseconds>(event->at - began_).count();
    char line[120];
    std::snprintf(line, sizeof line, "  day %4lld %02lld:%02lld:%02lld.%03lld wall %lld  ",
                  static_cast<long long>(ms / 86'400'000),
                  static_cast<long long>(ms / 3'600'000 % 24),
                  static_cast<long long>(ms / 60'000 % 60), static_cast<long long>(ms / 1000 % 60),
                  static_cast<long long>(ms % 1000),
                  static_cast<long long>(event->wall.time_since_epoch().count()));
    text += line;
    text += event->what;
    text += event->detail.empty() ? "\n" : " " + event->detail + "\n";
  }
  return text;
}

}  // namespace mtastsd::simulation
