#pragma once

#include <functional>
#include <memory>

#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::event {
class Loop;
}

namespace mtastsd::https {

// Makes the fetcher that works on a thread's loop. Called once for each thread, before
// make_fetch_threads() returns.
using MakeFetcher = std::function<std::unique_ptr<PolicyFetcher>(event::Loop&)>;

// A PolicyFetcher whose fetches run on `threads` threads of their own: what a peer makes us compute
// for a handshake holds up other fetches of the same thread, and not DNS, timers and the waiters of
// `home`. Callbacks run on the thread of `home`, and only that thread may use the fetcher. A fetch
// goes to the thread with the fewest, a thread begins with its first fetch, and all end with the
// fetcher, which has to be destroyed before `home`.
//
// Only values cross: an order and a cancellation one way, a result the other way, one of each for a
// fetch. So what waits is bounded by the number of fetches.
std::unique_ptr<PolicyFetcher> make_fetch_threads(event::Loop& home, unsigned threads,
                                                  const MakeFetcher& make);

}  // namespace mtastsd::https
