#include "work_queue.h"

#include <algorithm>

namespace mtastsd::resolver {
namespace {

constexpr std::size_t kMaxWaitingPerHost = 2000;

}  // namespace

void WorkQueue::add(const DomainName& domain) {
  wait(*jobs_.try_emplace(domain).first, State::WaitsForRecord);
}

void WorkQueue::raise(const DomainName& domain) {
  Job& job = jobs_.at(domain);
  if (job.lane == Lane::Urgent) {
    return;
  }
  if (Lanes* lanes = lanes_of(job)) {
    auto& [background, urgent] = *lanes;
    urgent.splice(urgent.end(), background, job.place);
  }
  job.lane = Lane::Urgent;
}

std::optional<DomainName> WorkQueue::next(Stage which) {
  StageState& state = stage(which);
  if (state.taken >= (which == Stage::Record ? slots_.record : slots_.policy)) {
    return std::nullopt;
  }
  const DomainName* domain = take_first(state.waiting);
  if (domain == nullptr) {
    return std::nullopt;
  }
  ++state.taken;
  jobs_.at(*domain).state = which == Stage::Record ? State::HasRecord : State::HasPolicy;
  return *domain;
}

void WorkQueue::advance(const DomainName& domain) {
  --stage(Stage::Record).taken;
  wait(*jobs_.find(domain), State::WaitsForPolicy);
}

WorkQueue::Claim WorkQueue::claim_host(const DomainName& domain, const IpAddress& address) {
  Jobs::value_type& job = *jobs_.find(domain);
  const IpAddress network = address.host_network();
  Host& host = hosts_[network];
  if (host.taken < std::max<std::size_t>(slots_.per_host, 1)) {
    ++host.taken;
    job.second.host = network;
    return Claim::Granted;
  }
  if (host.waiting[0].size() + host.waiting[1].size() >= kMaxWaitingPerHost) {
    return Claim::Refused;
  }
  --stage(Stage::Policy).taken;
  job.second.host = network;
  wait(job, State::WaitsForHost);
  return Claim::Waits;
}

void WorkQueue::finish(const DomainName& domain) {
  const auto node = jobs_.extract(domain);
  const Job& job = node.mapped();
  --stage(job.state == State::HasRecord ? Stage::Record : Stage::Policy).taken;
  if (job.host) {
    release_host(*job.host);
  }
}

// Gives the slot on to the next in line for this host.
void WorkQueue::release_host(const IpAddress& address) {
  const auto host = hosts_.find(address);
  if (const DomainName* next = take_first(host->second.waiting)) {
    wait(*jobs_.find(*next), State::WaitsForPolicy);
  } else if (--host->second.taken == 0) {
    hosts_.erase(host);
  }
}

// The lanes that a job waits in, or null if it does not wait.
WorkQueue::Lanes* WorkQueue::lanes_of(const Job& job) {
  switch (job.state) {
    case State::WaitsForRecord:
      return &stage(Stage::Record).waiting;
    case State::WaitsForPolicy:
      return &stage(Stage::Policy).waiting;
    case State::WaitsForHost:
      return &hosts_.at(*job.host).waiting;
    case State::HasRecord:
    case State::HasPolicy:
      break;
  }
  return nullptr;
}

void WorkQueue::wait(Jobs::value_type& job, State state) {
  job.second.state = state;
  Line& line = (*lanes_of(job.second))[static_cast<std::size_t>(job.second.lane)];
  job.second.place = line.insert(line.end(), &job.first);
}

const DomainName* WorkQueue::take_first(Lanes& lanes) {
  auto& [background, urgent] = lanes;
  Line& line = urgent.empty() ? background : urgent;
  if (line.empty()) {
    return nullptr;
  }
  const DomainName* first = line.front();
  line.pop_front();
  return first;
}

}  // namespace mtastsd::resolver
