#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "mtastsd/answer/answerer.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/config/config.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/https/curl_fetcher.h"
#include "mtastsd/resolver/resolver.h"
#include "mtastsd/socketmap/server.h"

// What the configuration means for each module. Pure, but for the places that the system chooses.
namespace mtastsd::daemon {

answer::AnswerOptions answer_options(const config::Config& config);
// The names of the maps that only observe.
std::vector<std::string> observing_maps(const answer::Profiles& profiles);
// What is left of max_connections when `descriptors` can be open, and the resolver has its own.
std::size_t most_connections(std::size_t max_connections, std::size_t descriptors);
// How many descriptors this process may have open.
std::size_t descriptor_limit();
socketmap::ServerLimits server_limits(const config::Config& config);  // of one thread
resolver::Options resolver_options(const config::Config& config);
discovery::Settings discovery_settings(const config::Config& config);
dns::AresOptions dns_options(const config::Config& config);
https::CurlOptions https_options(const config::Config& config);
unsigned fetch_threads(const config::Config& config);
std::string cache_directory(const config::Config& config);
cache::StoreOptions store_options(const config::Config& config, const Clock& clock);

}  // namespace mtastsd::daemon
