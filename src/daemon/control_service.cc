// Requests are {"command": NAME, ...}, replies {"ok": true, ...} or {"ok": false, "error": TEXT}:
//
//   status                                "status": what the daemon is doing
//   entry     "domain"                    "entry": what is known, uncommitted included, or null
//   refresh   "domain"                    "result": fetched | failed | no-record | held-back,
//                                         "detail", "change", "entry"
//   forget    "domain"                    "entry": what was forgotten, or null
//   import    "entry"                     "result": imported | newer | expired | invalid, "detail";
//                                         "busy": true without "ok" when it is to be sent again
//
// Logs, at info: "refresh asked for", "forgotten", at debug "imported", each by the operator; at
// warn "no control socket".

#include "control_service.h"

#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "listener.h"
#include "mtastsd/base/version.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/config/places.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/control/import.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/log/log.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t kFailingShown = 5;
constexpr unsigned kOwnerOnly = 0600;
constexpr unsigned kOwnerAndGroup = 0660;

json entry_json(const DomainName& domain, const cache::EntryPtr& entry) {
  return entry ? control::entry_to_json(domain.view(), *entry) : json(nullptr);
}

json error_json(std::string_view sentence) {
  return {{"ok", false}, {"error", sentence}};
}

std::string_view name_of(resolver::Change change) {
  switch (change) {
    case resolver::Change::None:
      return "none";
    case resolver::Change::New:
      return "new";
    case resolver::Change::Replaced:
      return "replaced";
    case resolver::Change::Drifted:
      return "drifted";
  }
  return "none";
}

json refresh_json(const DomainName& domain, const resolver::Answer& answer) {
  const cache::EntryPtr& entry = answer.entry;
  std::string_view result = "held-back";
  std::string detail = answer.detail;
  if (answer.fresh) {
    result = "fetched";
  } else if (answer.failed) {
    result = "failed";
  } else if (!detail.empty()) {
    result = "no-record";
  } else if (entry && entry->failure) {
    // RFC 8461 section 3.3: at least five minutes between attempts for one id.
    detail = "the last fetch for this id failed (" + entry->failure->detail +
             "), the next is not before " + control::timestamp(entry->failure->retry_at);
  }
  return {{"ok", true},
          {"result", result},
          {"detail", detail},
          {"change", name_of(answer.change)},
          {"entry", entry ? control::entry_to_json(domain.view(), *entry) : json(nullptr)}};
}

json queries_json(const std::vector<const answer::Counters*>& threads) {
  std::uint64_t total = 0, enforced = 0, not_enforced = 0, no_policy = 0, no_domain = 0, waited = 0,
                timed_out = 0;
  for (const answer::Counters* thread : threads) {
    total += thread->queries.value();
    enforced += thread->enforced.value();
    not_enforced += thread->not_enforced.value();
    no_policy += thread->no_policy.value();
    no_domain += thread->no_domain.value();
    waited += thread->asked.value();
    timed_out += thread->timed_out.value();
  }
  // The counters are read while they grow.
  const std::uint64_t about_domains = total - std::min(total, no_domain);
  const std::uint64_t known = about_domains - std::min(about_domains, waited);
  return {{"total", total},
          {"about_domains", about_domains},
          {"from_cache", known},
          {"hit_rate", about_domains == 0
                           ? json(nullptr)
                           : json(static_cast<double>(known) / static_cast<double>(about_domains))},
          {"enforced", enforced},
          {"not_enforced", not_enforced},
          {"no_policy", no_policy},
          {"no_domain", no_domain},
          {"waited", waited},
          {"timed_out", timed_out}};
}

json connections_json(const DaemonFacts& facts) {
  std::uint64_t accepted = 0, refused = 0;
  for (const socketmap::ServerCounters* thread : facts.serving) {
    accepted += thread->connections.value();
    refused += thread->refused.value();
  }
  return {{"open", facts.open_connections->load()},
          {"most", facts.max_connections},
          {"accepted", accepted},
          {"refused", refused}};
}

json cache_json(const DaemonFacts& facts, const cache::LmdbStore& store) {
  const cache::CacheTotals totals = store.totals();
  return {{"directory", facts.cache_directory},
          {"writable", store.writable()},
          {"entries", totals.entries},
          {"policies", totals.policies},
          {"without_policy", totals.negatives},
          {"pending", store.pending()},
          {"used_bytes", totals.used_bytes},
          {"max_bytes", facts.cache_max_size},
          {"commits", store.counters().commits.value()},
          {"failed_commits", store.counters().failed_commits.value()},
          {"evicted", store.counters().evicted.value()},
          {"not_kept", store.counters().not_kept.value()}};
}

json resolver_json(const resolver::Counters& counters) {
  return {{"started", counters.resolutions.value()},
          {"txt_failures", counters.txt_failures.value()},
          {"fetches", counters.fetches.value()},
          {"fetch_failures", counters.fetch_failures.value()},
          {"refreshes", counters.refreshes.value()},
          {"refused", counters.overload.value()}};
}

json dns_json(const dns::AresClient& dns) {
  json servers = json::array();
  for (const auto& one : dns.health()) {
    servers.push_back(
        {{"server", one.server},
         {"answers", one.answers},
         {"errors", one.errors},
         {"last_error", one.last_error.empty() ? json(nullptr) : json(one.last_error)},
         {"silent", one.asked_last}});
  }
  return servers;
}

json failing_json(const resolver::Resolver& resolver, cache::LmdbStore& store) {
  const auto failing = resolver.failing(kFailingShown);
  json first = json::array();
  for (const DomainName& domain : failing.first) {
    const auto entry = store.find(domain);
    if (entry && entry->policy && entry->failure) {
      first.push_back({{"domain", domain.view()},
                       {"type", cache::to_string(entry->failure->type)},
                       {"detail", entry->failure->detail},
                       {"failures", entry->failure->count},
                       {"expires_at", control::timestamp(entry->policy->expires_at())}});
    }
  }
  return {{"count", failing.count}, {"first", std::move(first)}};
}

}  // namespace

// Where a reply goes. Sent from any thread, also when the service is gone: its loop does not run
// any more then.
class ControlService::Reply {
 public:
  Reply(ControlService& service, std::uint64_t connection)
      : loop_(service.loop_), service_(&service), connection_(connection) {}

  void operator()(const json& object) const {
    loop_.post([service = service_, connection = connection_, line = control::to_line(object)] {
      service->server_.reply(connection, line);
    });
  }

 private:
  event::Loop& loop_;
  ControlService* service_;
  std::uint64_t connection_;
};

ControlService::ControlService(event::Loop& loop, const Clock& clock, cache::LmdbStore& store,
                               Log& log, std::function<void(OnResolver)> on_resolver,
                               DaemonFacts facts)
    : loop_(loop),
      clock_(clock),
      store_(store),
      log_(log),
      on_resolver_(std::move(on_resolver)),
      facts_(std::move(facts)),
      server_(loop, [this](std::string_view line, std::uint64_t connection) {
        handle(line, connection);
      }) {}

void ControlService::listen(const config::Control& options) {
  if (options.socket.empty()) {
    return;
  }
  const std::string path = config::choose_control_socket(options.socket);
  if (!options.socket_group.empty() && ::getgrnam(options.socket_group.c_str()) == nullptr) {
    log_.write(Event::ControlSocketFailed,
               {{"socket", path},
                {"reason", "control.socket_group: there is no group " + options.socket_group}});
    return;
  }
  config::ListenAddress address;
  address.kind = config::ListenAddress::Kind::Unix;
  address.path = path;
  config::Socketmap access;
  access.socket_mode = options.socket_group.empty() ? kOwnerOnly : kOwnerAndGroup;
  access.socket_group = options.socket_group;
  std::vector<std::unique_ptr<Listener>> listeners;
  if (auto opened = open_listeners(address, access, listeners); !opened) {
    log_.write(Event::ControlSocketFailed, {{"socket", path}, {"reason", opened.error()}});
    return;
  }
  acceptor_ = std::make_unique<Acceptor>(
      loop_, std::move(listeners), [this](int fd) { server_.add(fd); }, [] {});
}

void ControlService::handle(std::string_view line, std::uint64_t connection) {
  const Reply reply(*this, connection);
  const json request = json::parse(line, nullptr, false);
  const auto text = [&request](const char* name) {
    const auto it = request.find(name);
    return it != request.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  if (!request.is_object()) {
    reply(error_json("a request is a JSON object in one line"));
    return;
  }
  const std::string command = text("command");
  if (command == "status") {
    status(reply);
    return;
  }
  if (command == "import") {
    import(line, reply);
    return;
  }
  const auto domain = DomainName::parse(text("domain"));
  if (command != "entry" && command != "refresh" && command != "forget") {
    reply(error_json("this mtastsd does not know that command: is mtastsctl of another version?"));
  } else if (!domain) {
    reply(error_json("\"domain\" is no domain name"));
  } else if (command == "entry") {
    entry(*domain, reply);
  } else if (command == "refresh") {
    refresh(*domain, reply);
  } else {
    forget(*domain, reply);
  }
}

void ControlService::status(const Reply& reply) {
  const WallTime now = clock_.wall();
  json status = {{"version", kVersion},
                 {"pid", ::getpid()},
                 {"started_at", control::timestamp(facts_.started_at)},
                 {"uptime_s", std::max<std::int64_t>((now - facts_.started_at).count(), 0)},
                 {"config", facts_.config_path.empty() ? json(nullptr) : json(facts_.config_path)},
                 {"listeners", facts_.listeners},
                 {"threads", facts_.answering.size()},
                 {"connections", connections_json(facts_)},
                 {"queries", queries_json(facts_.answering)},
                 {"look_ups", resolver_json(*facts_.resolver)},
                 {"cache", cache_json(facts_, store_)}};
  on_resolver_([reply, &store = store_, status = std::move(status)](resolver::Resolver& resolver,
                                                                    dns::AresClient& dns) mutable {
    status["look_ups"]["at_work"] = resolver.domains_at_work();
    status["dns"] = dns_json(dns);
    status["failing_refreshes"] = failing_json(resolver, store);
    reply({{"ok", true}, {"status", std::move(status)}});
  });
}

void ControlService::entry(const DomainName& domain, const Reply& reply) {
  on_resolver_([reply, domain, &store = store_](resolver::Resolver&, dns::AresClient&) {
    reply({{"ok", true}, {"entry", entry_json(domain, store.find(domain))}});
  });
}

void ControlService::refresh(const DomainName& domain, const Reply& reply) {
  log_.write(Event::RefreshRequested, {{"domain", domain.view()}});
  on_resolver_([reply, domain](resolver::Resolver& resolver, dns::AresClient&) {
    resolver.refresh(
        domain, [reply, domain](const std::shared_ptr<const resolver::Answer>& answer) {
          reply(answer ? refresh_json(domain, *answer)
                       : error_json("too many domains are being looked up: try again"));
        });
  });
}

void ControlService::forget(const DomainName& domain, const Reply& reply) {
  if (!store_.has_room()) {
    reply(error_json("too much waits for the disk: try again when it can be written"));
    return;
  }
  log_.write(Event::DomainForgotten, {{"domain", domain.view()}});
  on_resolver_([reply, domain](resolver::Resolver& resolver, dns::AresClient&) {
    resolver.forget(domain, [reply, domain](const cache::EntryPtr& known) {
      reply({{"ok", true}, {"entry", entry_json(domain, known)}});
    });
  });
}

void ControlService::import(std::string_view line, const Reply& reply) {
  const json request = json::parse(line, nullptr, false);
  const auto record = request.find("entry");
  auto read = control::entry_from_json(record == request.end() ? json() : *record);
  if (!read) {
    reply({{"ok", true}, {"result", "invalid"}, {"detail", read.error()}});
    return;
  }
  if (!store_.has_room()) {
    reply({{"ok", false}, {"busy", true}, {"error", "too much waits for the disk: try again"}});
    return;
  }
  on_resolver_([reply, domain = read->first, offered = std::move(read->second), &store = store_,
                &clock = clock_, &log = log_](resolver::Resolver& resolver, dns::AresClient&) {
    // A look-up at work would store what it began from.
    resolver.when_idle(domain, [reply, domain, offered, &store, &clock, &log] {
      const auto known = store.find(domain);
      const auto imported = control::import_entry(known ? std::optional(*known) : std::nullopt,
                                                  offered, clock.wall());
      if (!imported) {
        reply({{"ok", true},
               {"result", control::to_string(imported.error().why)},
               {"detail", imported.error().sentence}});
        return;
      }
      store.put(domain, *imported);
      log.write(Event::PolicyImported, {{"domain", domain.view()}, {"id", imported->policy->id}});
      reply({{"ok", true}, {"result", "imported"}, {"detail", ""}});
    });
  });
}

}  // namespace mtastsd::daemon
