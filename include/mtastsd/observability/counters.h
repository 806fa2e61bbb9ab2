#pragma once

#include <atomic>
#include <cstdint>

namespace mtastsd {

// A number that only grows. One thread adds, any thread reads: no locked instruction.
class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Counted by one answering thread.
struct AnswerCounters {
  Counter queries;       // requests read
  Counter enforced;      // answered with a policy
  Counter not_enforced;  // NOTFOUND: mode testing or none
  Counter no_policy;     // NOTFOUND: the domain is known to have no policy
  Counter no_domain;     // NOTFOUND: the key names no policy domain
  Counter asked;         // waited for the resolver
  Counter timed_out;     // answered by answer_timeout instead
  Counter bad_records;   // cache records that could not be read
  Counter connections;   // accepted
  Counter refused;       // over max_connections
  Counter malformed;     // connections dropped for what is no netstring
};

// Counted by the resolver thread.
struct ResolverCounters {
  Counter resolutions;     // started
  Counter coalesced;       // queries that joined a running one
  Counter txt_failures;    // TXT could not be asked
  Counter fetches;         // HTTPS requests started
  Counter fetch_failures;  // without a valid policy at the end
  Counter refreshes;       // resolutions started by the refresher
  Counter overload;        // refused: too many domains at once
};

// Counted by the writer thread, the last two by the resolver thread.
struct StoreCounters {
  Counter commits;
  Counter failed_commits;
  Counter evicted;      // entries dropped to make room
  Counter not_kept;     // new results refused: too many wait for a disk that cannot be written
  Counter read_errors;  // records that LMDB could not read
};

}  // namespace mtastsd
