#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mtastsd/answer/explain.h"
#include "mtastsd/answer/observations.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/control/import.h"
#include "mtastsd/overrides/override.h"
#include "mtastsd/resolver/decide.h"
#include "mtastsd/resolver/resolver.h"

// What the operator's tool and the daemon say to each other over the control socket: a request in
// one line, its reply in one line, each a JSON object. Pure.
//
//   {"command": "show", "domain": "example.com"}
//   {"ok": true, "answer": "show", "value": {"entry": "AUzK..."}}
//   {"ok": false, "error": "busy", "message": "..."}
//
// An entry travels from the daemon as its stored record, in base64: it may lack its policy's text,
// and there may be a million of them. To the daemon it travels as JSON, which is checked like a
// policy that was fetched.
namespace mtastsd::control {

// --- answers ----------------------------------------------------------------------------------

// What the daemon is doing. The counters count from its start.
struct Status {
  static constexpr std::string_view kName = "status";

  // How often something took how long (base/histogram.h).
  struct Times {
    std::vector<double> bounds_s;       // the longest time of each part but the last
    std::vector<std::uint64_t> counts;  // one more
    double sum_s = 0;
  };
  struct Connections {
    std::uint64_t open = 0;
    std::uint64_t most = 0;  // that may be open
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;    // because too many were open, of all users or of one
    std::uint64_t malformed = 0;  // closed because no netstring came
    std::uint64_t stalled = 0;    // closed because half a request came, or a reply was not taken
    std::uint64_t greedy = 0;     // closed because too many bytes waited
  };
  struct Queries {
    std::uint64_t total = 0;
    std::uint64_t about_domains = 0;  // whose key names a domain that can have a policy
    std::uint64_t from_cache = 0;     // of these, answered without the resolver
    std::optional<double> hit_rate;   // from_cache of about_domains
    std::uint64_t enforced = 0;
    std::uint64_t dane = 0;  // answered with DANE, where there is a policy too
    std::uint64_t not_enforced = 0;
    std::uint64_t overridden = 0;  // answered as the operator decided
    std::uint64_t observed = 0;    // NOTFOUND, where a map that enforces would have been told more
    std::uint64_t no_policy = 0;
    std::uint64_t no_domain = 0;
    std::uint64_t waited = 0;     // for the resolver
    std::uint64_t timed_out = 0;  // of these, answered by [resolver] answer_timeout
    Times answer_times;           // of those that waited
  };
  struct Stage {  // of a lookup
    std::string name;
    std::uint64_t at_work = 0;
    std::uint64_t waiting = 0;
    std::uint64_t places = 0;
  };
  struct LookUps {
    std::uint64_t at_work = 0;  // domains being looked up or waiting for it
    std::uint64_t started = 0;
    std::uint64_t joined = 0;  // queries that waited for a lookup that was already in progress
    std::uint64_t txt_failures = 0;
    std::uint64_t fetches = 0;
    std::uint64_t fetch_failures = 0;  // of these by cache::FailureType:
    std::uint64_t fetch_errors = 0;
    std::uint64_t policies_invalid = 0;
    std::uint64_t certificates_invalid = 0;
    std::uint64_t refreshes = 0;
    std::uint64_t refused = 0;  // because too many were at work
    std::uint64_t dane_surveys = 0;
    std::uint64_t dane_failures = 0;  // of these, something that matters could not be asked
    std::uint64_t dane_unknown = 0;   // of these, nothing was known before either
    std::uint64_t mx_looks = 0;       // at the MX records of domains with a policy in force
    std::uint64_t mx_failures = 0;    // of these, DNS did not say
    Times times;                      // of a domain, from its beginning in the queue
    std::vector<Stage> stages;        // "record", "addresses", "policy"
  };
  struct Cache {
    std::string directory;
    bool writable = false;
    std::uint64_t entries = 0;
    std::uint64_t policies = 0;
    std::uint64_t without_policy = 0;
    std::uint64_t pending = 0;  // changes that are not on disk yet
    std::uint64_t used_bytes = 0;
    std::uint64_t max_bytes = 0;
    std::uint64_t commits = 0;
    std::uint64_t failed_commits = 0;
    double commit_s = 0;  // that all of these took
    std::uint64_t evicted = 0;
    std::uint64_t not_kept = 0;
  };
  struct DnsServer {
    std::string server;
    std::uint64_t answers = 0;
    std::uint64_t errors = 0;
    std::optional<std::string> last_error;  // unless its last answer was good
    bool silent = false;                    // it did not answer where another did; asked last
    bool trusted = false;                   // its word on DNSSEC counts
    std::optional<bool> validates;          // DNSSEC; none: not found out
  };
  // Lookups of all types that failed, by the reason (dns::ErrorKind).
  struct DnsFailures {
    std::uint64_t timeout = 0;
    std::uint64_t servfail = 0;
    std::uint64_t refused = 0;
    std::uint64_t not_understood = 0;
    std::uint64_t malformed = 0;
    std::uint64_t network = 0;   // no server could be reached
    std::uint64_t too_many = 0;  // at once, of ours
  };
  struct Overrides {
    std::uint64_t in_force = 0;
    std::optional<WallTime> next_end;  // of those in force
    std::uint64_t ignore = 0;          // of those in force, by overrides::Action
    std::uint64_t testing = 0;
    std::uint64_t pin = 0;
    std::uint64_t dane = 0;
  };
  // A domain of which cache::is_failing() is true.
  struct FailingDomain {
    std::string domain;
    std::optional<cache::FailureType> type;  // of the last fetch, if that failed
    std::string detail;                      // for people: why
    std::uint64_t failures = 0;              // fetches in a row
    std::optional<WallTime> expires_at;      // of its policy, if one is in force
  };
  struct Failing {
    std::uint64_t count = 0;
    bool complete = true;  // false: a large cache was not read to its end, and there may be more
    std::uint64_t in_force = 0;        // of these, with a policy in force that cannot be renewed
    std::vector<FailingDomain> first;  // some of them, those first whose policy ends first
  };

  std::string version;
  std::uint64_t pid = 0;
  WallTime started_at{};
  Seconds uptime_s{0};
  std::optional<std::string> config;  // the file; none: built-in defaults
  std::vector<std::string> listeners;
  std::uint64_t threads = 0;
  Connections connections;
  Queries queries;
  LookUps look_ups;
  Cache cache;
  std::vector<DnsServer> dns;
  DnsFailures dns_failures;
  std::optional<std::string> ca_source;   // the file or directory of the certificate authorities
  std::optional<std::string> ca_problem;  // why no certificate authorities can be read
  Failing failing;
  std::uint64_t overdue_refreshes = 0;
  std::uint64_t ending_soon = 0;    // policies that end within two days and cannot be refreshed
  std::uint64_t mx_mismatches = 0;  // domains none of whose MX hosts matches their policy
  Overrides overrides;
  std::vector<std::string> observing;  // the maps that only observe
  bool nothing_enforced = false;       // all of them do
};

// What maps that only observe would have been told since the start, by domain.
struct ObserveReport {
  static constexpr std::string_view kName = "observe";
  WallTime since{};
  std::vector<std::string> maps;  // that only observe
  answer::ObservedSum sum;
};

// What is known of a domain, whether or not it is committed yet.
struct Shown {
  static constexpr std::string_view kName = "show";
  cache::EntryPtr entry;  // null: nothing
};

// What came before.
struct HistoryFound {
  static constexpr std::string_view kName = "history";
  std::string history;    // for cache::decode_history()
  cache::EntryPtr entry;  // as of Shown
};

// How the daemon answers a key of Postfix.
struct Explained {
  static constexpr std::string_view kName = "explain";
  answer::Explanation explanation;
};

// What came of fetching a policy again.
struct Refreshed {
  static constexpr std::string_view kName = "refresh";
  enum class Result {
    Fetched,
    Failed,
    NoRecord,  // the domain publishes none
    HeldBack,  // RFC 8461 section 3.3: it is too soon for another attempt
  };
  Result result = Result::Failed;
  std::string detail;  // why it was not fetched
  resolver::Change change = resolver::Change::None;
  cache::EntryPtr entry;  // as it is known now
};

struct Forgotten {
  static constexpr std::string_view kName = "forget";
  cache::EntryPtr entry;  // as it was known; null: nothing was
};

struct Imported {
  static constexpr std::string_view kName = "import";
  ImportResult result = ImportResult::Invalid;
  std::string detail;  // why it was not imported
};

// Some of the entries, in the order of their names.
struct Page {
  static constexpr std::string_view kName = "list";
  struct Record {
    std::string domain;
    std::string bytes;  // as cache::encode() makes them
  };
  std::vector<Record> records;
  std::string next;  // for ListRequest::after; empty: there are no more
};

// Domains with a policy in force and no MX host that matches it, in the order of their names.
struct MxMismatches {
  static constexpr std::string_view kName = "mx-mismatches";
  std::vector<resolver::MxMismatch> domains;
  std::string next;  // for MxMismatchesRequest::after; empty: there are no more
};

// The overrides of the configuration and of the command line.
struct Overrides {
  static constexpr std::string_view kName = "override-list";
  std::vector<overrides::Override> all;  // by name, for each name the latest decision first
};

// An override is stored, and every answer from now on knows of it.
struct OverrideAdded {
  static constexpr std::string_view kName = "override-add";
  std::vector<overrides::Override> all;  // as of Overrides
};
// The same, of one that was removed.
struct OverrideRemoved {
  static constexpr std::string_view kName = "override-remove";
  std::optional<overrides::Override> removed;  // none: the command line had none for the name
};

// What happened about a domain since the last answer, or within a second.
struct Traced {
  static constexpr std::string_view kName = "trace";
  std::vector<std::string> events;  // each a JSON object, as in a log of the format json
  std::uint64_t lost = 0;           // too many came between two requests
  bool ended = false;               // it has been traced for long enough
};

// The words of the wire and of contrib/schema/ctl.json: "no-record", "drifted".
std::string_view to_string(Refreshed::Result result);

using Answer =
    std::variant<Status, Shown, Explained, Refreshed, Forgotten, Imported, Page, Overrides,
                 OverrideAdded, OverrideRemoved, Traced, ObserveReport, MxMismatches, HistoryFound>;

// --- requests ---------------------------------------------------------------------------------

struct StatusRequest {
  using Answer = Status;
  // False, which only the daemon itself can ask: Status::failing is left out, for which the whole
  // cache is read.
  bool count_failing = true;
};
struct ShowRequest {
  using Answer = Shown;
  DomainName domain;
};
struct HistoryRequest {
  using Answer = HistoryFound;
  DomainName domain;
};
// A domain of which nothing current is known is looked up, as for a query.
struct ExplainRequest {
  using Answer = Explained;
  std::string map;
  std::string key;
  // False, which only the daemon itself can ask: nothing is looked up, and the reply may be empty.
  bool look_up = true;
};
struct RefreshRequest {
  using Answer = Refreshed;
  DomainName domain;
  bool force = false;  // however lately a fetch has failed
};
struct ForgetRequest {
  using Answer = Forgotten;
  DomainName domain;
};
struct ImportRequest {
  using Answer = Imported;
  DomainName domain;
  cache::Entry entry;
};
struct ListRequest {
  using Answer = Page;
  std::string after;  // Page::next of the page before; empty: from the beginning
};

struct MxMismatchesRequest {
  using Answer = MxMismatches;
  std::string after;
};

struct OverridesRequest {
  using Answer = Overrides;
};
// In exchange for the one that the command line has for the same name, if there is one. The source,
// the time and who decided are set by the daemon.
struct OverrideAddRequest {
  using Answer = OverrideAdded;
  overrides::Override one;
};
struct OverrideRemoveRequest {
  using Answer = OverrideRemoved;
  overrides::Scope scope;
};

// The first one of a connection begins to trace the domain. Whoever asks no more stops it.
struct TraceRequest {
  using Answer = Traced;
  DomainName domain;
};
struct ObserveRequest {
  using Answer = ObserveReport;
};

using Request = std::variant<StatusRequest, ShowRequest, ExplainRequest, RefreshRequest,
                             ForgetRequest, ImportRequest, ListRequest, OverridesRequest,
                             OverrideAddRequest, OverrideRemoveRequest, TraceRequest,
                             ObserveRequest, MxMismatchesRequest, HistoryRequest>;

// --- errors -----------------------------------------------------------------------------------

struct Error {
  enum class Problem {
    // Said by the daemon.
    UnknownCommand,  // the tool is of another version
    BadRequest,      // not a request, or one without what its command needs
    BadDomain,       // no domain name where one is needed
    Busy,            // the same request can be sent again later
    Refused,         // it cannot be done, and the message says why
    // Found out by the client.
    NoDaemon,   // nobody listens
    Forbidden,  // this user may not use the socket
    Broken,     // no reply, or one that cannot be read
  };
  Problem problem = Problem::Broken;
  std::string message;  // one sentence for people; of a decoded reply, fit for a terminal
};

using Reply = Result<Answer, Error>;

// --- lines ------------------------------------------------------------------------------------

// The most bytes of a line without its end. A page and a policy of 64 KiB fit, however many of
// their bytes are escaped.
inline constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;

// A page ends with the record that reaches this.
inline constexpr std::size_t kMaxPageBytes = std::size_t{1} << 19;

// Lines without their end.
std::string encode(const Request& request);
std::string encode(const Reply& reply);
Result<Request, Error> decode_request(std::string_view line);
Reply decode_reply(std::string_view line);

// For people's scripts: the fields that contrib/schema/ctl.json has, as one JSON object.
std::string to_json(const Status& status);

}  // namespace mtastsd::control
