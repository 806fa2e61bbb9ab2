#include "plugin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "mtastsd/base/text.h"
#include "mtastsd/control/readiness.h"

namespace mtastsd::ctl {
namespace {

using control::Status;

constexpr std::size_t kMaxTextBytes = 1000;  // some monitoring reads no more than 4 KiB in all

struct Problem {
  Health health;
  std::string text;
};

std::string_view word(Health health) {
  switch (health) {
    case Health::Ok:
      return "OK";
    case Health::Warning:
      return "WARNING";
    case Health::Critical:
      return "CRITICAL";
    case Health::Unknown:
      return "UNKNOWN";
  }
  return "UNKNOWN";
}

// The worst come first.
std::vector<Problem> problems_of(const Status& status) {
  std::vector<Problem> found;
  for (auto problem : {control::cache_problem(status), control::authorities_problem(status)}) {
    if (problem) {
      found.push_back({Health::Critical, std::move(*problem)});
    }
  }
  if (control::no_dns_server_is_good(status)) {
    found.push_back({Health::Warning, "no DNS server gave a good answer when last asked"});
  }
  if (status.overdue_refreshes > 0) {
    found.push_back(
        {Health::Warning, fmt::format("{} in force waited too long for a refresh",
                                      status.overdue_refreshes == 1
                                          ? "1 policy"
                                          : fmt::format("{} policies", status.overdue_refreshes))});
  }
  if (status.connections.open >= status.connections.most) {
    found.push_back(
        {Health::Warning, fmt::format("all {} connections are in use", status.connections.most)});
  }
  return found;
}

// 'label'=value[unit];warn;critical;least;most, where "c" is the unit of a counter.
std::string performance_data(const Status& status) {
  std::uint64_t dns_errors = 0;
  for (const Status::DnsServer& server : status.dns) {
    dns_errors += server.errors;
  }
  std::string text =
      fmt::format("uptime={}s connections={};;;0;{} cache={}B;;;0;{}", status.uptime_s.count(),
                  status.connections.open, status.connections.most, status.cache.used_bytes,
                  status.cache.max_bytes);
  for (const auto& [label, value] : {
           std::pair("policies", status.cache.policies),
           std::pair("without_policy", status.cache.without_policy),
           std::pair("pending", status.cache.pending),
           std::pair("at_work", status.look_ups.at_work),
           std::pair("failing", status.failing.count),
           std::pair("ending_soon", status.ending_soon),
           std::pair("mx_mismatches", status.mx_mismatches),
           std::pair("overdue", status.overdue_refreshes),
       }) {
    text += fmt::format(" {}={}", label, value);
  }
  for (const auto& [label, value] : {
           std::pair("queries", status.queries.total),
           std::pair("from_cache", status.queries.from_cache),
           std::pair("waited", status.queries.waited),
           std::pair("timed_out", status.queries.timed_out),
           std::pair("connections_refused", status.connections.refused),
           std::pair("lookups", status.look_ups.started),
           std::pair("lookups_refused", status.look_ups.refused),
           std::pair("fetches", status.look_ups.fetches),
           std::pair("fetch_failures", status.look_ups.fetch_failures),
           std::pair("refreshes", status.look_ups.refreshes),
           std::pair("dns_errors", dns_errors),
           std::pair("evicted", status.cache.evicted),
           std::pair("not_kept", status.cache.not_kept),
           std::pair("failed_commits", status.cache.failed_commits),
       }) {
    text += fmt::format(" {}={}c", label, value);
  }
  return text;
}

}  // namespace

PluginResult plugin_result(Health health, std::string_view reason) {
  std::string text = printable(reason, kMaxTextBytes);
  std::replace(text.begin(), text.end(), '|', '/');  // it begins the performance data
  return {health, fmt::format("MTASTSD {} - {}", word(health), text)};
}

PluginResult plugin_result(const Status& status) {
  const std::vector<Problem> problems = problems_of(status);
  Health health = Health::Ok;
  std::string text;
  for (const Problem& problem : problems) {
    health = std::max(health, problem.health);
    text += (text.empty() ? "" : "; ") + problem.text;
  }
  if (problems.empty()) {
    text = fmt::format("version {}, {} queries, {} policies", status.version, status.queries.total,
                       status.cache.policies);
  }
  PluginResult result = plugin_result(health, text);
  result.line += " | " + performance_data(status);
  return result;
}

}  // namespace mtastsd::ctl
