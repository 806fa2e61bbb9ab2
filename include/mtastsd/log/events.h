#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace mtastsd {

// Trace: steps of a query and a lookup, which the log itself never has. See Log::watch().
enum class LogLevel { Trace, Debug, Info, Warn, Error, Off };

// Everything that the daemon logs. mtastsd(8) lists the same events for the operator, and
// ManualPage.HasEveryEvent in unit_log holds the two together.
enum class Event {
  // The daemon.
  Started,
  NotStarted,
  Stopping,
  Stopped,
  Reloaded,
  NotReloaded,
  RestartNeeded,
  ObservesOnly,
  NotifyFailed,
  Confined,
  RunsAsRoot,
  ListensEverywhere,
  SocketUnused,
  FewDescriptors,
  LogLinesLost,
  AlarmFailed,
  // What the operator does with mtastsctl.
  ControlSocketFailed,
  HttpListenFailed,
  RefreshRequested,
  DomainForgotten,
  PolicyImported,
  OverrideAdded,
  OverrideRemoved,
  OverrideEnded,
  OverrideEndsSoon,
  OverrideUnreadable,
  // Policies.
  PolicyStored,
  PolicyChecked,
  PolicyWeakened,
  PolicyEndsSoon,
  MxMismatch,
  MxMismatchEnded,
  PolicyExpired,
  NoPolicy,
  RecordUnusable,
  TxtLookupFailed,
  TxtLookupFailedAgain,
  FetchFailed,
  RefreshFailing,
  RefreshesOverdue,
  ClockDoubted,
  LinesLeftOut,
  Overloaded,
  // DANE.
  DaneRuling,
  DaneLookupFailed,
  DaneWithoutDnssec,
  // Questions from Postfix.
  UnknownMap,
  Observed,
  QueryReceived,
  QueryAnswered,
  // The steps of a lookup.
  LookupStarted,
  RecordLookedUp,
  PolicyHostLookedUp,
  PolicyHostConnected,
  PolicyHostFailed,
  // DNS and HTTPS.
  DnsServers,
  DnsFailing,
  ResolvConfUnreadable,
  CaFileUnreadable,
  // The cache.
  CacheFull,
  CacheNotWritable,
  CacheWritable,
  CacheSetAside,
  OverridesSalvaged,
  CacheDamaged,
  CacheDiskFailed,
  CacheDeleted,
  CacheReplaced,
  CacheReadFailed,
  RecordUnreadable,
  CommitFailed,
  CommitsRecovered,
};

// What a person is told of an event, who has set [alarm] command.
enum class Alarm : unsigned char {
  None,
  RefreshFails,
  PolicyEndsSoon,  // a refresh fails, and the end of the policy is near
  ModeWeakened,
  MxMismatch,
  OverrideEnds,
  CacheTrouble,
  ResolverTrouble,
};
// The words of the documents: "refresh-fails".
std::string_view to_string(Alarm alarm);

// A row of the catalogue. The key is stable: scripts and dashboards match it.
struct EventRow {
  Event id;
  LogLevel level;
  std::string_view key;      // snake_case
  std::string_view message;  // one sentence for people, the same in every line of this event
  std::string_view fields;   // in this order, separated by one space
  Alarm alarm = Alarm::None;
};

inline constexpr std::array kEvents = {
    EventRow{Event::Started, LogLevel::Info, "started", "mtastsd is ready to answer.",
             "version config listen http cache dns ca_file"},
    EventRow{Event::NotStarted, LogLevel::Error, "not_started", "mtastsd could not start.",
             "reason"},
    EventRow{Event::Stopping, LogLevel::Info, "stopping",
             "mtastsd answers the queries in flight and then stops.", ""},
    EventRow{Event::Stopped, LogLevel::Info, "stopped",
             "mtastsd has stopped. The fields count what it did since its start.",
             "queries enforced waited timed_out resolutions fetches fetch_failures commits "
             "failed_commits evicted"},
    EventRow{Event::Reloaded, LogLevel::Info, "reloaded", "The configuration was reloaded.",
             "config"},
    EventRow{Event::NotReloaded, LogLevel::Error, "not_reloaded",
             "The configuration was not reloaded, and the one in force stays in force.", "reason"},
    EventRow{Event::RestartNeeded, LogLevel::Warn, "restart_needed",
             "This setting was changed. The change takes effect at the next restart.", "setting"},
    EventRow{Event::ObservesOnly, LogLevel::Warn, "observes_only",
             "These maps only observe: Postfix is told NOTFOUND for every domain, and no policy is "
             "enforced. See mtastsctl observe report.",
             "maps"},
    EventRow{Event::NotifyFailed, LogLevel::Warn, "notify_failed",
             "The service manager could not be notified and may take this start for a failure.",
             "notify_socket"},
    EventRow{Event::Confined, LogLevel::Info, "confined",
             "mtastsd runs as this user. The fields landlock and seccomp say whether the kernel "
             "confines it.",
             "user landlock seccomp"},
    EventRow{Event::RunsAsRoot, LogLevel::Warn, "runs_as_root",
             "mtastsd runs as root, although it needs no privileges. Create this user, or name "
             "another in [daemon] user.",
             "user"},
    EventRow{
        Event::ListensEverywhere, LogLevel::Warn, "listens_everywhere",
        "Every host that can reach this one can ask mtastsd and use up its connections. Listen "
        "on a loopback address, or have a firewall.",
        "listen"},
    EventRow{Event::SocketUnused, LogLevel::Warn, "socket_unused",
             "The service manager passed a socket that is not used, so clients who connect to it "
             "wait in vain.",
             "socket reason"},
    EventRow{Event::FewDescriptors, LogLevel::Warn, "few_descriptors",
             "The limit of open files allows only this many connections. Raise LimitNOFILE in the "
             "unit, or lower [socketmap] max_connections.",
             "max_connections open_files"},
    EventRow{Event::LogLinesLost, LogLevel::Warn, "log_lines_lost",
             "The log could not be written fast enough, and these many lines were lost.", "count"},
    EventRow{Event::AlarmFailed, LogLevel::Warn, "alarm_failed",
             "The command in [alarm] did not do its work, so somebody may not have been told.",
             "reason"},

    EventRow{Event::ControlSocketFailed, LogLevel::Warn, "control_socket_failed",
             "The control socket could not be opened, so mtastsctl cannot ask this daemon.",
             "socket reason"},
    EventRow{Event::HttpListenFailed, LogLevel::Warn, "http_listen_failed",
             "There are no pages and no metrics at an address in [http] listen.", "reason"},
    EventRow{Event::RefreshRequested, LogLevel::Info, "refresh_requested",
             "The operator asked for a refresh of this domain.", "domain"},
    EventRow{Event::DomainForgotten, LogLevel::Info, "domain_forgotten",
             "The operator removed this domain from the cache.", "domain"},
    EventRow{Event::PolicyImported, LogLevel::Debug, "policy_imported",
             "A policy was imported from a cache export.", "domain id"},
    EventRow{Event::OverrideAdded, LogLevel::Warn, "override_added",
             "Postfix is answered by this override from now on, whatever the domain publishes.",
             "name action until reason by"},
    EventRow{Event::OverrideRemoved, LogLevel::Warn, "override_removed",
             "This override was removed, and counts no more.", "name action reason by"},
    EventRow{Event::OverrideEnded, LogLevel::Warn, "override_ended",
             "This override has ended, and the domain's policy counts again.",
             "name action until reason by", Alarm::OverrideEnds},
    EventRow{Event::OverrideEndsSoon, LogLevel::Warn, "override_ends_soon",
             "This override ends within three days. After that the domain's policy counts again.",
             "name action until reason by", Alarm::OverrideEnds},
    EventRow{Event::OverrideUnreadable, LogLevel::Error, "override_unreadable",
             "A stored override cannot be read, perhaps because a newer mtastsd wrote it. It does "
             "not count, and stays stored.",
             "name reason"},

    EventRow{Event::PolicyStored, LogLevel::Info, "policy_stored",
             "A policy was fetched and stored.", "domain mode id max_age change took_ms"},
    EventRow{Event::PolicyChecked, LogLevel::Debug, "policy_checked",
             "The cached policy is still the one that the domain publishes.",
             "domain reason took_ms"},
    EventRow{Event::PolicyWeakened, LogLevel::Warn, "policy_weakened",
             "The domain no longer asks for enforcement; its mail may be delivered without "
             "verified TLS.",
             "domain mode id", Alarm::ModeWeakened},
    EventRow{
        Event::PolicyEndsSoon, LogLevel::Warn, "policy_ends_soon",
        "This policy of mode enforce ends within two days and cannot be refreshed. After that, "
        "mail is delivered without it.",
        "domain reason expires_in_s", Alarm::PolicyEndsSoon},
    EventRow{Event::MxMismatch, LogLevel::Warn, "mx_mismatch",
             "None of the domain's MX hosts matches its policy, so its mail is deferred. Tell the "
             "domain, or make an override.",
             "domain id mx", Alarm::MxMismatch},
    EventRow{Event::MxMismatchEnded, LogLevel::Info, "mx_mismatch_ended",
             "The MX hosts of the domain match its policy again.", "domain"},
    EventRow{Event::PolicyExpired, LogLevel::Info, "policy_expired",
             "The policy expired without a successful refresh and no longer counts.", "domain"},
    EventRow{Event::NoPolicy, LogLevel::Debug, "no_policy", "The domain has no MTA-STS policy.",
             "domain reason took_ms"},
    EventRow{Event::RecordUnusable, LogLevel::Info, "record_unusable",
             "The domain publishes an MTA-STS record that cannot be used.",
             "domain cached reason took_ms"},
    EventRow{Event::TxtLookupFailed, LogLevel::Info, "txt_lookup_failed",
             "The MTA-STS record of the domain could not be looked up.",
             "domain cached reason took_ms"},
    EventRow{Event::TxtLookupFailedAgain, LogLevel::Debug, "txt_lookup_failed_again",
             "The MTA-STS record of the domain still cannot be looked up.",
             "domain cached reason took_ms"},
    EventRow{Event::FetchFailed, LogLevel::Info, "fetch_failed",
             "The policy could not be fetched. A cached policy stays in force until it expires.",
             "domain result cached reason took_ms"},
    EventRow{Event::RefreshFailing, LogLevel::Warn, "refresh_failing",
             "The policy cannot be refreshed. It stays in force until it expires, and after that "
             "mail is delivered without it.",
             "domain result reason failures expires_in_s", Alarm::RefreshFails},
    EventRow{Event::RefreshesOverdue, LogLevel::Warn, "refreshes_overdue",
             "Policies in force are waiting too long for their refresh. They stay in force until "
             "they expire.",
             "policies", Alarm::RefreshFails},
    EventRow{
        Event::ClockDoubted, LogLevel::Warn, "clock_doubted",
        "The clock was set by more than a minute. No expired policy is deleted for a week after "
        "the clock is as it was before.",
        "off_by_s", Alarm::ResolverTrouble},
    EventRow{Event::LinesLeftOut, LogLevel::Info, "lines_left_out",
             "Further lines about the domains of this owner were left out in the last minute.",
             "owner count"},
    EventRow{Event::Overloaded, LogLevel::Warn, "overloaded",
             "Too many domains are being resolved at once. Some are answered as if they had no "
             "policy.",
             "at_work refused_so_far", Alarm::ResolverTrouble},

    EventRow{Event::DaneRuling, LogLevel::Info, "dane_ruling",
             "DANE begins or ceases to decide for a domain with an enforced policy. While it "
             "applies, a map with DANE is answered \"dane-only\".",
             "domain target ruling took_ms"},
    EventRow{Event::DaneLookupFailed, LogLevel::Info, "dane_lookup_failed",
             "DNS did not say whether DANE applies. What was known before stands for a week, and "
             "if nothing was, the policy is applied.",
             "domain target ruling reason took_ms"},
    EventRow{
        Event::DaneWithoutDnssec, LogLevel::Warn, "dane_without_dnssec",
        "This DNS server's word on DNSSEC cannot be used, so maps with DANE are answered as if "
        "they had it not, and a policy can override DANE. Use a validating resolver on this "
        "host.",
        "server reason"},

    EventRow{Event::UnknownMap, LogLevel::Warn, "unknown_map",
             "Postfix asked for a map without a [maps.NAME] section. It is answered like the map "
             "postfix.",
             "map"},
    EventRow{Event::Observed, LogLevel::Info, "observed",
             "A map that only observes was told NOTFOUND. A map that enforces would have been told "
             "this.",
             "domain reply left_out"},
    EventRow{Event::QueryReceived, LogLevel::Trace, "query_received",
             "Postfix asks about the domain.", "domain map key"},
    EventRow{Event::QueryAnswered, LogLevel::Trace, "query_answered", "Postfix is answered.",
             "domain from reply"},

    EventRow{Event::LookupStarted, LogLevel::Trace, "lookup_started",
             "The MTA-STS record is looked up.", "domain purpose"},
    EventRow{Event::RecordLookedUp, LogLevel::Trace, "record_looked_up",
             "The lookup of the MTA-STS record has ended.", "domain result id ttl_s reason"},
    EventRow{Event::PolicyHostLookedUp, LogLevel::Trace, "policy_host_looked_up",
             "The addresses of the policy host were looked up.", "domain addresses reason"},
    EventRow{Event::PolicyHostConnected, LogLevel::Trace, "policy_host_connected",
             "The policy is fetched from this address.", "domain address"},
    EventRow{Event::PolicyHostFailed, LogLevel::Trace, "policy_host_failed",
             "This address gave no policy.", "domain address reason"},

    EventRow{Event::DnsServers, LogLevel::Info, "dns_servers", "These DNS servers are asked.",
             "servers"},
    EventRow{Event::DnsFailing, LogLevel::Warn, "dns_failing",
             "For a minute, no MTA-STS record could be looked up. Cached policies are served, and "
             "other domains are answered as if they had none. Look at the DNS servers in mtastsctl "
             "status.",
             "failures", Alarm::ResolverTrouble},
    EventRow{Event::ResolvConfUnreadable, LogLevel::Warn, "resolv_conf_unreadable",
             "The list of DNS servers cannot be read. The servers known before stay in use.",
             "path", Alarm::ResolverTrouble},
    EventRow{
        Event::CaFileUnreadable, LogLevel::Error, "ca_file_unreadable",
        "The CA file cannot be read. Without authorities no policy host can be verified and no "
        "policy fetched; those read before stay in use. Cached policies are served.",
        "path reason", Alarm::ResolverTrouble},

    EventRow{Event::CacheFull, LogLevel::Warn, "cache_full",
             "The cache is full, and policies of mode enforce were dropped. Raise [cache] "
             "max_size.",
             "dropped max_size", Alarm::CacheTrouble},
    EventRow{Event::CacheNotWritable, LogLevel::Warn, "cache_not_writable",
             "The cache can be read but not written. New policies are kept in memory, and writing "
             "is tried again every minute.",
             "reason", Alarm::CacheTrouble},
    EventRow{Event::CacheWritable, LogLevel::Warn, "cache_writable",
             "The cache can be written again.", "directory"},
    EventRow{Event::CacheSetAside, LogLevel::Error, "cache_set_aside",
             "The cache file was damaged and was set aside. Every record that could be read was "
             "kept, and the rest will be fetched again.",
             "kept_as records_read", Alarm::CacheTrouble},
    EventRow{Event::OverridesSalvaged, LogLevel::Warn, "overrides_salvaged",
             "Overrides were read from a damaged cache file and kept. One that was removed can be "
             "among them: look at mtastsctl override list.",
             "count"},
    EventRow{Event::CacheDamaged, LogLevel::Error, "cache_damaged",
             "The cache file was damaged or truncated while it was in use. mtastsd exits, and the "
             "next start keeps every record that can still be read.",
             "directory reason", Alarm::CacheTrouble},
    EventRow{Event::CacheDiskFailed, LogLevel::Error, "cache_disk_failed",
             "The disk failed while the cache was written. mtastsd exits, and the next start uses "
             "what was stored before.",
             "directory reason", Alarm::CacheTrouble},
    EventRow{Event::CacheDeleted, LogLevel::Error, "cache_deleted",
             "The cache file was deleted. The running daemon still answers from it. Save it with "
             "mtastsctl cache export, and restart mtastsd.",
             "directory", Alarm::CacheTrouble},
    EventRow{Event::CacheReplaced, LogLevel::Error, "cache_replaced",
             "The cache file was replaced. Restart mtastsd to use the new one. Everything that is "
             "stored until then is lost.",
             "directory", Alarm::CacheTrouble},
    EventRow{Event::CacheReadFailed, LogLevel::Error, "cache_read_failed",
             "The cache cannot be read, and policies are looked up anew. Check the disk.",
             "directory", Alarm::CacheTrouble},
    EventRow{Event::RecordUnreadable, LogLevel::Warn, "record_unreadable",
             "A cached record cannot be read and was dropped. Its policy will be fetched again.",
             "domain reason"},
    EventRow{Event::CommitFailed, LogLevel::Error, "commit_failed",
             "Policies could not be written to the cache. They are kept in memory, and writing is "
             "tried again.",
             "directory reason pending", Alarm::CacheTrouble},
    EventRow{Event::CommitsRecovered, LogLevel::Warn, "commits_recovered",
             "Policies can be written to the cache again.", "directory"},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kEvents.size(); ++i) {
    if (kEvents[i].id != static_cast<Event>(i)) {
      return false;
    }
  }
  return kEvents.size() == static_cast<std::size_t>(Event::CommitsRecovered) + 1;
}
static_assert(rows_are_in_order(), "each Event has its row, in the order of the enumerators");

constexpr const EventRow& row_of(Event event) {
  return kEvents[static_cast<std::size_t>(event)];
}

}  // namespace mtastsd
