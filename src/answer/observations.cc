#include "mtastsd/answer/observations.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#include "mtastsd/base/keyed_hash.h"

namespace mtastsd::answer {

Observations::Observations() : places_(kPlaces) {}

bool Observations::add(const DomainName& domain) {
  const std::size_t first = std::hash<DomainName>{}(domain) % (kPlaces / kNeighbours) * kNeighbours;
  Place* least = &places_[first];
  for (std::size_t i = first; i < first + kNeighbours; ++i) {
    Place& place = places_[i];
    if (place.view() == domain.view()) {
      ++place.mails;
      return false;
    }
    least = place.mails < least->mails ? &place : least;
  }
  if (++least->wanted <= least->mails) {
    ++left_out_;
    return true;
  }
  left_out_ += std::exchange(least->mails, 1);
  least->wanted = 0;
  least->size = static_cast<std::uint8_t>(domain.size());
  std::memcpy(least->name.data(), domain.view().data(), domain.size());
  return true;
}

ObservedSum Observations::sum() const {
  ObservedSum sum{.domains = {}, .left_out = left_out_};
  for (const Place& place : places_) {
    if (place.mails > 0) {
      sum.domains.push_back({std::string(place.view()), place.mails});
    }
  }
  sum.domains_known = sum.domains.size();
  return sum;
}

ObservedSum joined(const std::vector<ObservedSum>& sums, std::size_t max_bytes,
                   std::size_t around) {
  MapByName<std::uint64_t> mails;
  ObservedSum all;
  for (const ObservedSum& sum : sums) {
    all.left_out += sum.left_out;
    for (const Observed& one : sum.domains) {
      mails[one.domain] += one.mails;
    }
  }
  all.domains_known = mails.size();
  for (const auto& [domain, count] : mails) {
    all.domains.push_back({domain, count});
  }
  std::sort(all.domains.begin(), all.domains.end(), [](const Observed& a, const Observed& b) {
    return std::tie(b.mails, a.domain) < std::tie(a.mails, b.domain);
  });
  std::size_t bytes = 0;
  std::size_t kept = 0;
  for (; kept < all.domains.size(); ++kept) {
    bytes += all.domains[kept].domain.size() + around;
    if (bytes > max_bytes) {
      break;
    }
  }
  for (std::size_t i = kept; i < all.domains.size(); ++i) {
    all.left_out += all.domains[i].mails;
  }
  all.domains.resize(kept);
  return all;
}

}  // namespace mtastsd::answer
