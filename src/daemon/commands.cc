#include "commands.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "listener.h"
#include "mtastsd/answer/explain.h"
#include "mtastsd/base/version.h"
#include "mtastsd/config/places.h"
#include "mtastsd/control/import.h"
#include "mtastsd/https/authorities.h"
#include "mtastsd/log/log.h"
#include "options.h"

namespace mtastsd::daemon {
namespace {

constexpr std::size_t kAroundRecord = 16;  // bytes of JSON for each record of a page

using control::Error;
using control::Status;
using resolver::Resolver;

constexpr std::size_t kFailingShown = 5;
constexpr Milliseconds kMostForFailing{500};
constexpr std::size_t kMismatchesInPage = 500;
constexpr std::size_t kAroundObserved = 26;  // bytes of JSON for each domain, with the number

Error busy(std::string message) {
  return {Error::Problem::Busy, std::move(message)};
}

void add_times(const Histogram& times, Status::Times& sum) {
  sum.counts.resize(Histogram::kParts);
  for (std::size_t part = 0; part < Histogram::kParts; ++part) {
    sum.counts[part] += times.part(part);
  }
  sum.sum_s += static_cast<double>(times.sum_ms()) / 1000;
  if (sum.bounds_s.empty()) {
    for (const Milliseconds bound : Histogram::kBounds) {
      sum.bounds_s.push_back(static_cast<double>(bound.count()) / 1000);
    }
  }
}

void count_connections(const DaemonFacts& facts, Status::Connections& sum) {
  sum.open = facts.connections->open();
  for (const socketmap::ServerCounters* thread : facts.serving) {
    sum.accepted += thread->connections.value();
    sum.refused += thread->refused.value();
    sum.malformed += thread->malformed.value();
    sum.stalled += thread->stalled.value();
    sum.greedy += thread->greedy.value();
  }
}

void count_cache(const cache::LmdbStore& store, Status::Cache& cache) {
  const cache::CacheTotals totals = store.totals();
  const cache::Counters& counters = store.counters();
  cache.writable = store.writable();
  cache.entries = totals.entries;
  cache.policies = totals.policies;
  cache.without_policy = totals.negatives;
  cache.pending = store.pending();
  cache.used_bytes = totals.used_bytes;
  cache.commits = counters.commits.value();
  cache.failed_commits = counters.failed_commits.value();
  cache.commit_s = static_cast<double>(counters.commit_ms.value()) / 1000;
  cache.evicted = counters.evicted.value();
  cache.not_kept = counters.not_kept.value();
}

void count_overrides(const overrides::Table* table, WallTime now, Status::Overrides& sum) {
  if (table == nullptr) {
    return;
  }
  const overrides::Scope* counted = nullptr;
  for (const overrides::Override& one : table->all()) {
    if (!one.in_force(now) || (counted != nullptr && *counted == one.scope)) {
      continue;  // it has ended, or a later decision covers it
    }
    counted = &one.scope;
    ++sum.in_force;
    switch (one.action) {
      case overrides::Action::Ignore:
        ++sum.ignore;
        break;
      case overrides::Action::Testing:
        ++sum.testing;
        break;
      case overrides::Action::Pin:
        ++sum.pin;
        break;
      case overrides::Action::Dane:
        ++sum.dane;
        break;
    }
    if (one.until) {
      sum.next_end = std::min(sum.next_end.value_or(*one.until), *one.until);
    }
  }
}

Status::LookUps look_ups_of(const resolver::Counters& counters) {
  Status::LookUps sum;
  sum.started = counters.resolutions.value();
  sum.joined = counters.coalesced.value();
  sum.txt_failures = counters.txt_failures.value();
  sum.fetches = counters.fetches.value();
  sum.fetch_failures = counters.fetch_failures.value();
  sum.fetch_errors = counters.fetch_errors.value();
  sum.policies_invalid = counters.policies_invalid.value();
  sum.certificates_invalid = counters.certificates_invalid.value();
  sum.refreshes = counters.refreshes.value();
  sum.refused = counters.overload.value();
  sum.dane_surveys = counters.surveys.value();
  sum.dane_failures = counters.survey_failures.value();
  sum.dane_unknown = counters.dane_unknown.value();
  add_times(counters.look_up_time, sum.times);
  sum.mx_looks = counters.mx_looks.value();
  sum.mx_failures = counters.mx_failures.value();
  return sum;
}

std::vector<Status::Stage> stages_of(const Resolver& resolver) {
  constexpr std::array<std::string_view, Resolver::kStages> kNames = {"record", "addresses",
                                                                      "policy"};
  const auto load = resolver.load();
  std::vector<Status::Stage> stages;
  for (std::size_t at = 0; at < load.size(); ++at) {
    stages.push_back(
        {std::string(kNames[at]), load[at].at_work, load[at].waiting, load[at].places});
  }
  return stages;
}

std::vector<Status::DnsServer> servers_of(const dns::AresClient& dns) {
  std::vector<Status::DnsServer> servers;
  for (const auto& one : dns.health()) {
    Status::DnsServer server{one.server,     one.answers, one.errors,   std::nullopt,
                             one.asked_last, one.trusted, one.validates};
    if (!one.last_error.empty()) {
      server.last_error = one.last_error;
    }
    servers.push_back(std::move(server));
  }
  return servers;
}

Status::DnsFailures failures_of(const dns::AresClient& dns) {
  const auto count = [&](dns::ErrorKind kind) {
    return dns.failures()[static_cast<std::size_t>(kind)];
  };
  return {.timeout = count(dns::ErrorKind::Timeout),
          .servfail = count(dns::ErrorKind::ServFail),
          .refused = count(dns::ErrorKind::Refused),
          .not_understood = count(dns::ErrorKind::NotUnderstood),
          .malformed = count(dns::ErrorKind::Malformed),
          .network = count(dns::ErrorKind::NoServer),
          .too_many = count(dns::ErrorKind::TooMany)};
}

Status::FailingDomain failing_domain(const DomainName& domain, const cache::Entry& entry) {
  Status::FailingDomain it{domain.str(), std::nullopt, entry.no_policy_detail, 0, std::nullopt};
  if (entry.failure) {
    it.type = entry.failure->type;
    it.detail = entry.failure->detail;
    it.failures = entry.failure->count;
  } else if (entry.holds_policy()) {
    it.detail = "its refresh is overdue";
  }
  if (entry.holds_policy()) {
    it.expires_at = entry.policy->expires_at();
  }
  return it;
}

// Policies in force come before what is not protected anyway.
bool is_more_urgent(const Status::FailingDomain& a, const Status::FailingDomain& b) {
  return a.expires_at.value_or(WallTime::max()) < b.expires_at.value_or(WallTime::max());
}

// Reads the cache as far as it comes in a time that holds up nobody: signals and the watchdog share
// this thread.
Status::Failing count_failing(cache::Reader& reader, const Clock& clock) {
  const WallTime now = clock.wall();
  const SteadyTime until = clock.steady() + kMostForFailing;
  Status::Failing sum;
  std::string after;
  do {
    cache::Reader::Page page = reader.page(after);
    for (const auto& [domain, entry] : page.entries) {
      if (!cache::is_failing(*entry, now)) {
        continue;
      }
      ++sum.count;
      sum.in_force += entry->holds_policy() ? 1 : 0;
      auto one = failing_domain(domain, *entry);
      const auto place = std::upper_bound(sum.first.begin(), sum.first.end(), one, is_more_urgent);
      sum.first.insert(place, std::move(one));
      sum.first.resize(std::min(sum.first.size(), kFailingShown));
    }
    after = std::move(page.last);
  } while (!after.empty() && clock.steady() < until);
  sum.complete = after.empty();
  return sum;
}

control::Refreshed refreshed(const resolver::Answer& answer) {
  using Result = control::Refreshed::Result;
  control::Refreshed it;
  it.entry = answer.entry;
  it.detail = answer.detail;
  it.change = answer.change;
  if (answer.fresh) {
    it.result = Result::Fetched;
  } else if (answer.failed) {
    it.result = Result::Failed;
  } else if (!answer.detail.empty()) {
    it.result = Result::NoRecord;
  } else {
    // RFC 8461 section 3.3: at least five minutes between attempts for one id.
    it.result = Result::HeldBack;
    if (it.entry && it.entry->failure) {
      it.detail = it.entry->failure->detail;
    }
  }
  return it;
}

}  // namespace

Status::Queries queries_of(const std::vector<const answer::Counters*>& threads) {
  Status::Queries sum;
  for (const answer::Counters* thread : threads) {
    sum.total += thread->queries.value();
    sum.enforced += thread->enforced.value();
    sum.dane += thread->dane.value();
    sum.overridden += thread->overridden.value();
    sum.observed += thread->observed.value();
    sum.not_enforced += thread->not_enforced.value();
    sum.no_policy += thread->no_policy.value();
    sum.no_domain += thread->no_domain.value();
    sum.waited += thread->asked.value();
    sum.timed_out += thread->timed_out.value();
    add_times(thread->answer_time, sum.answer_times);
  }
  // The counters are read while they grow.
  sum.about_domains = sum.total - std::min(sum.total, sum.no_domain);
  sum.from_cache = sum.about_domains - std::min(sum.about_domains, sum.waited);
  if (sum.about_domains > 0) {
    sum.hit_rate = static_cast<double>(sum.from_cache) / static_cast<double>(sum.about_domains);
  }
  return sum;
}

// Where the reply to one request goes. Called from any thread, also when the commands are gone.
class Commands::ReplyTo {
 public:
  // `user` is who asks, for the log.
  ReplyTo(Tell tell, std::string user, std::uint64_t connection)
      : tell_(std::move(tell)), user_(std::move(user)), connection_(connection) {}

  void operator()(const control::Reply& reply) const { tell_(reply); }
  void operator()(Error error) const { tell_(failure(std::move(error))); }
  const std::string& user() const { return user_; }
  // Of the control socket; 0: the request did not come by one.
  std::uint64_t connection() const { return connection_; }

 private:
  Tell tell_;
  std::string user_;
  std::uint64_t connection_;
};

Commands::Commands(event::Loop& loop, const Clock& clock, cache::LmdbStore& store,
                   OverrideBook& overrides, Tracers& tracers, Log& log, OnResolver on_resolver,
                   answer::Profiles profiles, DaemonFacts facts)
    : loop_(loop),
      clock_(clock),
      store_(store),
      overrides_(overrides),
      tracers_(tracers),
      log_(log),
      on_resolver_(std::move(on_resolver)),
      profiles_(std::move(profiles)),
      facts_(std::move(facts)),
      reader_(store.make_reader()),
      server_(loop, [this](std::string_view line, std::uint64_t connection) {
        handle(line, connection);
      }) {}

void Commands::listen(std::unique_ptr<Listener> listener) {
  std::vector<std::unique_ptr<Listener>> listeners;
  listeners.push_back(std::move(listener));
  acceptor_ = std::make_unique<Acceptor>(
      loop_, std::move(listeners), [this](int fd) { server_.add(fd); }, [] {});
}

void Commands::handle(std::string_view line, std::uint64_t connection) {
  // Whoever tells may do so when the commands are gone: their loop does not run any more then.
  const auto tell = [&loop = loop_, commands = this, connection](const control::Reply& reply) {
    loop.post([commands, connection, line = control::encode(reply)] {
      commands->server_.reply(connection, line);
    });
  };
  const auto user = server_.user_of(connection);
  const ReplyTo reply(tell, user ? "uid " + std::to_string(*user) : "a user who is gone",
                      connection);
  auto request = control::decode_request(line);
  if (!request) {
    reply(std::move(request.error()));
    return;
  }
  std::visit([&](const auto& one) { carry_out(one, reply); }, *request);
}

void Commands::ask(const control::Request& request, Tell tell) {
  const ReplyTo reply(std::move(tell), "mtastsd", 0);
  std::visit([&](const auto& one) { carry_out(one, reply); }, request);
}

cache::EntryPtr Commands::known(const DomainName& domain) {
  cache::Reader::Snapshot snapshot(*reader_);
  const auto view = snapshot.find(domain);
  return view ? view->entry().value_or(nullptr) : nullptr;
}

void Commands::carry_out(const control::StatusRequest& request, const ReplyTo& reply) {
  Status status = facts_.status;
  status.version = kVersion;
  status.pid = static_cast<std::uint64_t>(::getpid());
  status.uptime_s = std::max(clock_.wall() - status.started_at, Seconds(0));
  status.threads = facts_.answering.size();
  count_connections(facts_, status.connections);
  status.queries = queries_of(facts_.answering);
  status.look_ups = look_ups_of(*facts_.resolver);
  count_cache(store_, status.cache);
  if (std::string file = facts_.ca_file.empty() ? https::system_ca_file() : facts_.ca_file;
      !file.empty()) {
    status.ca_source = std::move(file);
  }
  count_overrides(overrides_.table().get(), clock_.wall(), status.overrides);
  status.observing = observing_maps(profiles_);
  status.nothing_enforced = status.observing.size() == profiles_.size();
  if (std::string problem = https::problem_with_ca_file(facts_.ca_file); !problem.empty()) {
    status.ca_problem = std::move(problem);
  }
  if (request.count_failing) {
    status.failing = count_failing(*reader_, clock_);
  }
  on_resolver_(
      [reply, status = std::move(status)](Resolver& resolver, dns::AresClient& dns) mutable {
        status.look_ups.at_work = resolver.domains_at_work();
        status.look_ups.stages = stages_of(resolver);
        status.dns = servers_of(dns);
        status.dns_failures = failures_of(dns);
        status.overdue_refreshes = resolver.overdue();
        status.ending_soon = resolver.ending_soon();
        status.mx_mismatches = resolver.mx_mismatch_count();
        reply(std::move(status));
      });
}

void Commands::carry_out(const control::ShowRequest& request, const ReplyTo& reply) {
  reply(control::Shown{known(request.domain)});
}

void Commands::carry_out(const control::HistoryRequest& request, const ReplyTo& reply) {
  reply(control::HistoryFound{store_.history(request.domain), known(request.domain)});
}

void Commands::carry_out(const control::ExplainRequest& request, const ReplyTo& reply) {
  answer::Explanation it = answer::explain_key(profiles_, overrides_.table().get(), request.map,
                                               request.key, clock_.wall());
  if (it.domain) {
    if (auto entry = known(*it.domain)) {
      answer::explain_entry(it, std::move(entry), false, false, clock_.wall());
    }
  }
  if (it.standing != resolver::Standing::Unknown || !request.look_up) {
    reply(control::Explained{std::move(it)});
    return;
  }
  on_resolver_(
      [reply, it = std::move(it), &clock = clock_](Resolver& resolver, dns::AresClient& /*dns*/) {
        if (it.survey == dane::Survey::First) {
          survey_and_reply(resolver, it, false, clock, reply);
          return;
        }
        const auto tell = [&resolver, reply, it, &clock](const resolver::Answer& answer) {
          if (!answer.entry) {
            reply(busy("too many domains are being looked up: try again"));
            return;
          }
          answer::Explanation found = it;
          found.looked_up = true;
          answer::explain_entry(found, answer.entry, answer.fresh, false, clock.wall());
          if (found.survey == dane::Survey::First) {
            survey_and_reply(resolver, found, answer.fresh, clock, reply);
          } else {
            reply(control::Explained{std::move(found)});
          }
        };
        resolver::tell_now_or_later(resolver.ask(*it.domain, tell), tell);
      });
}

// The last step of an explanation, as for a query: whether DANE decides.
void Commands::survey_and_reply(Resolver& resolver, const answer::Explanation& it, bool fresh,
                                const Clock& clock, const ReplyTo& reply) {
  const auto tell = [reply, it, fresh, &clock](const resolver::Answer& answer) {
    answer::Explanation found = it;
    answer::explain_entry(found, answer.entry ? answer.entry : it.entry, fresh, true, clock.wall());
    reply(control::Explained{std::move(found)});
  };
  resolver::tell_now_or_later(resolver.survey(*it.domain, it.target, tell), tell);
}

void Commands::carry_out(const control::RefreshRequest& request, const ReplyTo& reply) {
  log_.write(Event::RefreshRequested, {{"domain", request.domain.view()}});
  const auto purpose = request.force ? resolver::Purpose::Force : resolver::Purpose::Refresh;
  on_resolver_(
      [reply, domain = request.domain, purpose](Resolver& resolver, dns::AresClient& /*dns*/) {
        const auto tell = [reply](const resolver::Answer& answer) {
          if (answer.entry) {
            reply(refreshed(answer));
          } else {
            reply(busy("too many domains are being looked up: try again"));
          }
        };
        resolver::tell_now_or_later(resolver.refresh(domain, purpose, tell), tell);
      });
}

void Commands::carry_out(const control::ForgetRequest& request, const ReplyTo& reply) {
  if (!store_.has_room()) {
    reply(busy("too much waits for the disk: try again when it can be written"));
    return;
  }
  log_.write(Event::DomainForgotten, {{"domain", request.domain.view()}});
  on_resolver_([reply, domain = request.domain](Resolver& resolver, dns::AresClient& /*dns*/) {
    const auto tell = [reply](const cache::EntryPtr& entry) { reply(control::Forgotten{entry}); };
    resolver::tell_now_or_later(resolver.forget(domain, tell), tell);
  });
}

void Commands::carry_out(const control::ImportRequest& request, const ReplyTo& reply) {
  if (!store_.has_room()) {
    reply(busy("too much waits for the disk: try again when it can be written"));
    return;
  }
  on_resolver_([reply, domain = request.domain, offered = request.entry, &store = store_,
                &clock = clock_, &log = log_](Resolver& resolver, dns::AresClient& /*dns*/) {
    const auto import = [reply, domain, offered, &store, &clock, &log] {
      const auto imported = control::import_entry(store.find(domain), offered, clock.wall());
      if (!imported) {
        reply(control::Imported{imported.error().why, imported.error().sentence});
        return;
      }
      store.put(domain, *imported);
      log.write(Event::PolicyImported, {{"domain", domain.view()}, {"id", imported->policy->id}});
      reply(control::Imported{control::ImportResult::Imported, ""});
    };
    // A lookup that is running would store what it began from.
    if (auto ticket = resolver.when_idle(domain, import)) {
      ticket->detach();
    } else {
      import();
    }
  });
}

void Commands::carry_out(const control::ListRequest& request, const ReplyTo& reply) {
  const cache::Reader::Page read = reader_->page(request.after);
  control::Page page;
  page.next = read.last;
  std::size_t bytes = 0;
  for (const auto& [domain, entry] : read.entries) {
    page.records.push_back({domain.str(), cache::encode(*entry)});
    // As it is in the line: base64, the name, and what stands around them.
    bytes += page.records.back().bytes.size() * 4 / 3 + domain.size() + kAroundRecord;
    if (bytes >= control::kMaxPageBytes) {
      page.next = domain.str();
      break;
    }
  }
  reply(std::move(page));
}

void Commands::carry_out(const control::MxMismatchesRequest& request, const ReplyTo& reply) {
  on_resolver_([reply, after = request.after](Resolver& resolver, dns::AresClient& /*dns*/) {
    control::MxMismatches page{resolver.mx_mismatches(after, kMismatchesInPage), ""};
    if (page.domains.size() == kMismatchesInPage) {
      page.next = page.domains.back().domain.str();
    }
    reply(std::move(page));
  });
}

std::vector<overrides::Override> Commands::all_overrides() const {
  const overrides::TablePtr& table = overrides_.table();
  return table ? table->all() : std::vector<overrides::Override>();
}

void Commands::carry_out(const control::OverridesRequest& /*request*/, const ReplyTo& reply) {
  reply(control::Overrides{all_overrides()});
}

void Commands::carry_out(const control::OverrideAddRequest& request, const ReplyTo& reply) {
  const auto done = [this, reply] { reply(control::OverrideAdded{all_overrides()}); };
  if (auto added = overrides_.add(request.one, reply.user(), done); !added) {
    reply(Error{Error::Problem::Refused, "the override was not added: " + added.error()});
  }
}

void Commands::carry_out(const control::OverrideRemoveRequest& request, const ReplyTo& reply) {
  const auto removed = std::make_shared<control::OverrideRemoved>();
  const auto done = [reply, removed] { reply(*removed); };
  auto gone = overrides_.remove(request.scope, reply.user(), done);
  if (!gone) {
    reply(Error{Error::Problem::Refused, "the override was not removed: " + gone.error()});
  } else if (*gone) {
    removed->removed = *std::move(gone);  // before `done` runs, which the loop does later
  } else if (overrides_.is_configured(request.scope)) {
    reply(Error{Error::Problem::Refused,
                "the override of " + request.scope.str() +
                    " is in the configuration: remove it there, and reload mtastsd"});
  } else {
    done();
  }
}

void Commands::carry_out(const control::TraceRequest& request, const ReplyTo& reply) {
  const auto tell = [reply](control::Traced traced) { reply(std::move(traced)); };
  if (auto follows = tracers_.follow(reply.connection(), request.domain, tell); !follows) {
    reply(Error{Error::Problem::Refused, std::move(follows.error())});
  }
}

void Commands::carry_out(const control::ObserveRequest& /*request*/, const ReplyTo& reply) {
  facts_.observed([reply, since = facts_.status.started_at,
                   maps = observing_maps(profiles_)](const std::vector<answer::ObservedSum>& sums) {
    reply(control::ObserveReport{since, maps,
                                 answer::joined(sums, control::kMaxPageBytes, kAroundObserved)});
  });
}

}  // namespace mtastsd::daemon
