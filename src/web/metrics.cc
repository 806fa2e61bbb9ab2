// Written by hand: libprometheus-cpp-core would be one library more in the daemon, and its package
// brings a web server into every build, for what is two functions here. promtool checks the result
// in the tests.

#include "mtastsd/web/metrics.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <system_error>
#include <utility>

#include "mtastsd/base/fd.h"
#include "mtastsd/base/text.h"

namespace mtastsd::web {
namespace {

using control::Status;

std::string number(double value) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::string(text.data(), end) : "0";
}

std::string label_value(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    if (c == '\\' || c == '"') {
      out += '\\';
    }
    out += c;
  }
  return out;
}

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Text {
 public:
  // Begins the family that the next samples belong to.
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = std::string("mtastsd_") + std::string(name);
    begin(type, help);
  }
  // One whose name is the same for all programs.
  void common(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    begin(type, help);
  }

  void sample(Labels labels, double value, std::string_view suffix = {}) {
    text_ += name_;
    text_ += suffix;
    const char* before = "{";
    for (const auto& [label, of] : labels) {
      text_ += before + std::string(label) + "=\"" + label_value(of) + "\"";
      before = ",";
    }
    text_ += (labels.size() > 0 ? "} " : " ") + number(value) + "\n";
  }
  void sample(Labels labels, std::uint64_t value) { sample(labels, static_cast<double>(value)); }

  void one(std::string_view name, std::string_view type, std::string_view help, double value) {
    family(name, type, help);
    sample({}, value);
  }
  void one(std::string_view name, std::string_view type, std::string_view help,
           std::uint64_t value) {
    one(name, type, help, static_cast<double>(value));
  }

  void times(std::string_view name, std::string_view help, const Status::Times& times) {
    family(name, "histogram", help);
    std::uint64_t below = 0;
    for (std::size_t part = 0; part < times.bounds_s.size() && part < times.counts.size(); ++part) {
      below += times.counts[part];
      sample({{"le", number(times.bounds_s[part])}}, static_cast<double>(below), "_bucket");
    }
    below += times.counts.empty() ? 0 : times.counts.back();
    sample({{"le", "+Inf"}}, static_cast<double>(below), "_bucket");
    sample({}, times.sum_s, "_sum");
    sample({}, static_cast<double>(below), "_count");
  }

  std::string take() { return std::move(text_); }

 private:
  void begin(std::string_view type, std::string_view help) {
    text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " +
             std::string(type) + "\n";
  }

  std::string name_;
  std::string text_;
};

constexpr std::string_view kCounter = "counter";
constexpr std::string_view kGauge = "gauge";

void queries(const Status::Queries& from, Text& to) {
  to.one("queries_total", kCounter, "Queries that Postfix asked.", from.total);
  to.family("policy_total", kCounter, "Queries by what was answered.");
  to.sample({{"policy", "secure"}}, from.enforced);
  to.sample({{"policy", "dane-only"}}, from.dane);
  to.sample({{"policy", "not-enforced"}}, from.not_enforced);
  to.sample({{"policy", "override"}}, from.overridden);
  to.sample({{"policy", "observed"}}, from.observed);
  to.sample({{"policy", "no-policy"}}, from.no_policy);
  to.sample({{"policy", "no-domain"}}, from.no_domain);
  to.family("cache_requests_total", kCounter,
            "Queries about domains, by whether what was cached answered them.");
  to.sample({{"result", "hit"}}, from.from_cache);
  to.sample({{"result", "miss"}}, from.waited);
  to.one("queries_timed_out_total", kCounter,
         "Queries that waited for a lookup and were answered by answer_timeout.", from.timed_out);
  to.times("answer_seconds",
           "Time that queries waited which had to be found out; others take microseconds.",
           from.answer_times);
}

void look_ups(const Status::LookUps& from, Text& to) {
  to.one("lookups_total", kCounter, "Lookups of domains that were started.", from.started);
  to.one("lookups_joined_total", kCounter, "Queries that waited for a lookup in progress.",
         from.joined);
  to.one("lookups_refused_total", kCounter, "Lookups that were refused, too many being at work.",
         from.refused);
  to.one("lookups_at_work", kGauge, "Domains that are looked up or wait for it.", from.at_work);
  to.times("lookup_seconds", "Time that lookups of domains took.", from.times);
  to.one("txt_failures_total", kCounter, "Lookups whose TXT record DNS could not give.",
         from.txt_failures);
  to.one("fetches_total", kCounter, "Policies that were fetched, with and without success.",
         from.fetches);
  to.family("fetch_failures_total", kCounter,
            "Fetches that brought no policy, by the result types of RFC 8460.");
  to.sample({{"type", "sts-policy-fetch-error"}}, from.fetch_errors);
  to.sample({{"type", "sts-policy-invalid"}}, from.policies_invalid);
  to.sample({{"type", "sts-webpki-invalid"}}, from.certificates_invalid);
  to.one("refreshes_total", kCounter, "Refreshes of policies that were started.", from.refreshes);
  to.family("dane_surveys_total", kCounter, "Lookups of whether DANE decides, by what came of it.");
  to.sample({{"result", "known"}},
            from.dane_surveys - std::min(from.dane_surveys, from.dane_failures));
  to.sample({{"result", "failed"}}, from.dane_failures);
  to.one("dane_unknown_total", kCounter,
         "Lookups of DANE that failed, of domains of which nothing was known before.",
         from.dane_unknown);
  to.family("stage_places", kGauge, "Places at each stage of a lookup.");
  for (const Status::Stage& stage : from.stages) {
    to.sample({{"stage", stage.name}}, stage.places);
  }
  to.family("stage_places_in_use", kGauge, "Places in use at each stage of a lookup.");
  for (const Status::Stage& stage : from.stages) {
    to.sample({{"stage", stage.name}}, stage.at_work);
  }
  to.family("stage_waiting", kGauge, "Domains that wait for a place at each stage of a lookup.");
  for (const Status::Stage& stage : from.stages) {
    to.sample({{"stage", stage.name}}, stage.waiting);
  }
}

void cache(const Status::Cache& from, const Census::Totals* census, Text& to) {
  to.one("cache_entries", kGauge, "Domains in the cache.", from.entries);
  to.one("cache_policies", kGauge, "Policies in the cache, expired ones included.", from.policies);
  to.one("cache_negative_entries", kGauge, "Domains in the cache that have no policy.",
         from.without_policy);
  to.one("cache_bytes", kGauge, "Bytes of the cache file in use.", from.used_bytes);
  to.one("cache_max_bytes", kGauge, "Bytes that the cache file may have.", from.max_bytes);
  to.one("cache_writable", kGauge, "Whether the cache can be written.",
         static_cast<std::uint64_t>(from.writable ? 1 : 0));
  to.one("cache_pending", kGauge, "Changes that wait for their commit.", from.pending);
  to.one("cache_evictions_total", kCounter, "Entries dropped to make room.", from.evicted);
  to.one("cache_not_kept_total", kCounter, "Results refused, too much waiting for the disk.",
         from.not_kept);
  to.family("cache_commits_total", kCounter, "Commits to disk, by what came of them.");
  to.sample({{"result", "good"}}, from.commits);
  to.sample({{"result", "failed"}}, from.failed_commits);
  to.one("cache_commit_seconds_total", kCounter, "Time that commits took, in all.", from.commit_s);
  if (census == nullptr) {
    return;
  }
  to.family("policies", kGauge, "Policies in force, by mode, as of the last census.");
  to.sample({{"mode", "enforce"}}, census->enforce);
  to.sample({{"mode", "testing"}}, census->testing);
  to.sample({{"mode", "none"}}, census->none);
  to.one("policies_ending_soon", kGauge, "Of these, those that end within a day.",
         census->ending_soon);
  to.one("policies_failing", kGauge, "Of these, those that cannot be refreshed.", census->failing);
  to.family("domains_without_policy", kGauge, "Domains without a policy, by the reason.");
  to.sample({{"reason", "no-record"}}, census->no_record);
  to.sample({{"reason", "unusable-record"}}, census->unusable_record);
  to.sample({{"reason", "dns-failed"}}, census->dns_failed);
  to.sample({{"reason", "fetch-failed"}}, census->fetch_failed);
  to.one("census_timestamp_seconds", kGauge, "When the last census of the cache ended.",
         static_cast<std::uint64_t>(census->at.time_since_epoch().count()));
}

void policies(const Status& from, Text& to) {
  to.one("refreshes_overdue", kGauge, "Policies in force that waited too long for a refresh.",
         from.overdue_refreshes);
  to.one("mx_mismatches", kGauge, "Domains none of whose MX hosts matches their enforced policy.",
         from.mx_mismatches);
  to.one("maps_observing", kGauge, "Maps that only observe, so that nothing is enforced there.",
         static_cast<std::uint64_t>(from.observing.size()));
}

void overrides(const Status::Overrides& from, Text& to) {
  to.family("overrides", kGauge, "Overrides in force, by action.");
  to.sample({{"action", "ignore"}}, from.ignore);
  to.sample({{"action", "testing"}}, from.testing);
  to.sample({{"action", "pin"}}, from.pin);
  to.sample({{"action", "dane"}}, from.dane);
}

// Servers are those of the configuration.
void dns(const Status& from, Text& to) {
  to.family("dns_server_up", kGauge, "Whether the last answer of the DNS server was good.");
  for (const Status::DnsServer& one : from.dns) {
    to.sample({{"server", one.server}},
              static_cast<std::uint64_t>(one.last_error || one.silent ? 0 : 1));
  }
  to.family("dns_server_validates", kGauge,
            "Whether the DNS server validates DNSSEC and its word counts; where that is known.");
  for (const Status::DnsServer& one : from.dns) {
    if (one.validates) {
      to.sample({{"server", one.server}},
                static_cast<std::uint64_t>(*one.validates && one.trusted ? 1 : 0));
    }
  }
  to.family("dns_answers_total", kCounter, "Answers of the DNS server, by whether they were good.");
  for (const Status::DnsServer& one : from.dns) {
    to.sample({{"server", one.server}, {"result", "good"}}, one.answers);
    to.sample({{"server", one.server}, {"result", "error"}}, one.errors);
  }
  to.family("dns_failures_total", kCounter, "DNS lookups that failed, by the reason.");
  to.sample({{"reason", "timeout"}}, from.dns_failures.timeout);
  to.sample({{"reason", "servfail"}}, from.dns_failures.servfail);
  to.sample({{"reason", "refused"}}, from.dns_failures.refused);
  to.sample({{"reason", "not-understood"}}, from.dns_failures.not_understood);
  to.sample({{"reason", "malformed"}}, from.dns_failures.malformed);
  to.sample({{"reason", "network"}}, from.dns_failures.network);
  to.sample({{"reason", "too-many"}}, from.dns_failures.too_many);
}

void connections(const Status::Connections& from, Text& to) {
  to.one("connections", kGauge, "Connections of Postfix that are open.", from.open);
  to.one("max_connections", kGauge, "Connections of Postfix that may be open.", from.most);
  to.one("connections_total", kCounter, "Connections of Postfix that were accepted.",
         from.accepted);
  to.family("connections_closed_total", kCounter,
            "Connections that mtastsd closed, by the bound that they met.");
  to.sample({{"reason", "too-many"}}, from.refused);
  to.sample({{"reason", "malformed"}}, from.malformed);
  to.sample({{"reason", "stalled"}}, from.stalled);
  to.sample({{"reason", "greedy"}}, from.greedy);
}

void process(const Status& status, const Process& from, Text& to) {
  to.family("build_info", kGauge, "The version of mtastsd; always 1.");
  to.sample({{"version", status.version}}, std::uint64_t{1});
  to.one("certificate_authorities_usable", kGauge,
         "Whether certificate authorities can be read; without them no policy can be fetched.",
         static_cast<std::uint64_t>(status.ca_problem ? 0 : 1));
  to.common("process_start_time_seconds", kGauge, "Start time of the process.");
  to.sample({}, static_cast<double>(status.started_at.time_since_epoch().count()));
  to.common("process_cpu_seconds_total", kCounter, "CPU time of the process.");
  to.sample({}, from.cpu_seconds);
  to.common("process_resident_memory_bytes", kGauge, "Resident memory of the process.");
  to.sample({}, from.resident_bytes);
  to.common("process_virtual_memory_bytes", kGauge, "Virtual memory of the process.");
  to.sample({}, from.virtual_bytes);
  to.common("process_open_fds", kGauge, "Open file descriptors.");
  to.sample({}, from.open_fds);
  to.common("process_max_fds", kGauge, "File descriptors that may be open.");
  to.sample({}, from.max_fds);
}

}  // namespace

Process this_process() {
  Process found;
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    found.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    found.max_fds = limit.rlim_cur;
  }
  std::array<char, 128> text{};
  const Fd statm(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  unsigned long long pages = 0;
  unsigned long long resident = 0;
  if (statm && ::read(statm.get(), text.data(), text.size() - 1) > 0 &&
      std::sscanf(text.data(), "%llu %llu", &pages, &resident) == 2) {
    const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    found.virtual_bytes = pages * page_bytes;
    found.resident_bytes = resident * page_bytes;
  }
  std::error_code ec;
  for (std::filesystem::directory_iterator it("/proc/self/fd", ec), end; !ec && it != end;
       it.increment(ec)) {
    ++found.open_fds;
  }
  return found;
}

std::string metrics_text(const Status& status, const Process& of_process,
                         const Census::Totals* census) {
  Text to;
  queries(status.queries, to);
  look_ups(status.look_ups, to);
  policies(status, to);
  cache(status.cache, census, to);
  overrides(status.overrides, to);
  dns(status, to);
  connections(status.connections, to);
  process(status, of_process, to);
  return to.take();
}

}  // namespace mtastsd::web
