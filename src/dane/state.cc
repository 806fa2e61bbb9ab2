#include "mtastsd/dane/state.h"

#include <algorithm>

namespace mtastsd::dane {
namespace {

// What was known of the host and still stands, or null. A time in the future is one from before the
// clock was set back.
const Host* known_before(const State* before, const std::string& name, WallTime now) {
  if (before == nullptr) {
    return nullptr;
  }
  const auto it = std::find_if(before->hosts.begin(), before->hosts.end(), [&](const Host& host) {
    return host.name == name && host.status != HostStatus::Unknown && now < host.known_at + kHold;
  });
  return it == before->hosts.end() ? nullptr : &*it;
}

Host merged(const State* before, const FoundHost& found, WallTime now) {
  if (found.status != HostStatus::Unknown) {
    return {found.name, found.status, now};
  }
  const Host* known = known_before(before, found.name, now);
  return known != nullptr ? *known : Host{found.name, HostStatus::Unknown, {}};
}

void rule(State& state, WallTime now) {
  state.facts.ruling = Ruling::DoesNotApply;
  state.facts.known_at = now;
  bool usable = false;
  WallTime newest{};
  for (const Host& host : state.hosts) {
    if (host.status == HostStatus::Usable) {
      newest = usable ? std::max(newest, host.known_at) : host.known_at;
      usable = true;
    } else if (host.status == HostStatus::Unknown) {
      state.facts.ruling = Ruling::Unknown;
    }
  }
  if (usable) {
    state.facts.ruling = Ruling::Applies;
    state.facts.known_at = newest;
  }
}

}  // namespace

std::string describe(const Target& target) {
  return (target.by_mx ? "MX hosts, port " : "the host itself, port ") +
         std::to_string(target.port);
}

std::string_view to_string(HostStatus status) {
  switch (status) {
    case HostStatus::Unknown:
      return "unknown";
    case HostStatus::None:
      return "none";
    case HostStatus::Unusable:
      return "unusable";
    case HostStatus::Usable:
      return "usable";
  }
  return "unknown";
}

std::string_view to_string(Mail mail) {
  switch (mail) {
    case Mail::Unknown:
      return "unknown";
    case Mail::Secure:
      return "secure";
    case Mail::Insecure:
      return "insecure";
    case Mail::Null:
      return "null";
    case Mail::NoDomain:
      return "no-domain";
  }
  return "unknown";
}

std::string_view to_string(Ruling ruling) {
  switch (ruling) {
    case Ruling::Unknown:
      return "unknown";
    case Ruling::DoesNotApply:
      return "does-not-apply";
    case Ruling::Applies:
      return "applies";
  }
  return "unknown";
}

Verdict judge(const Facts& facts, WallTime now) {
  Verdict verdict;
  const WallTime end = facts.known_at + kHold;
  if (facts.ruling != Ruling::Unknown && now < end) {
    verdict.ruling = facts.ruling;
  }
  // A survey in the future: the clock was set back, so its times mean nothing.
  if (facts.checked_at == WallTime{} || now >= facts.renew_at + kStale || now < facts.checked_at) {
    return verdict;
  }
  if (now >= facts.renew_at) {
    verdict.survey = Survey::InBackground;
    return verdict;
  }
  verdict.survey = Survey::NotNeeded;
  verdict.until =
      verdict.ruling == Ruling::Unknown ? facts.renew_at : std::min(facts.renew_at, end);
  return verdict;
}

State after_survey(const State* before, const Target& target, const Found& found, WallTime now) {
  State state;
  if (found.mail == Mail::Unknown && before != nullptr) {
    state = *before;
  }
  state.target = target;
  if (found.mail != Mail::Unknown) {
    state.mail = found.mail;
    for (const FoundHost& host : found.hosts) {
      state.hosts.push_back(merged(before, host, now));
    }
    rule(state, now);
  }
  Seconds life = found.ttl;
  bool failed = found.mail == Mail::Unknown;
  for (const FoundHost& host : found.hosts) {
    life = std::min(life, host.ttl);
    failed = failed || host.status == HostStatus::Unknown;
  }
  life = failed ? kRetry : std::clamp(life, kMinLife, kMaxLife);
  state.facts.checked_at = now;
  state.facts.renew_at = now + (found.without_dnssec_at.empty() ? life : kWithoutDnssec);
  return state;
}

}  // namespace mtastsd::dane
