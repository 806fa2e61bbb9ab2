#include "stored.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cache_directory.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/cache/cache_view.h"
#include "mtastsd/config/places.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/log/log.h"
#include "mtastsd/postfix/request.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"

namespace mtastsd::ctl {
namespace {

constexpr Milliseconds kFlushLimit{30000};

std::string date_and_span(WallTime time, WallTime now) {
  if (time == WallTime{}) {
    return "never";
  }
  return date_text(time) + " (" + relative_text(time, now) + ")";
}

std::unique_ptr<cache::CacheView> open_view(const Settings& settings) {
  return need(cache::CacheView::open(enter_cache_directory(cache_directory(settings))));
}

std::string next_text(WallTime time, WallTime now, const char* when_past) {
  return time <= now ? when_past : date_and_span(time, now);
}

std::string failure_text(const cache::Failure& failed, WallTime now) {
  return std::string(cache::to_string(failed.type)) + ": " + printable(failed.detail) + " (" +
         std::to_string(failed.count) + (failed.count == 1 ? " failure" : " failures in a row") +
         " since " + date_and_span(failed.first_at, now) + ", next try " +
         relative_text(failed.retry_at, now) + ")";
}

}  // namespace

std::string cache_directory(const Settings& settings) {
  const std::string& configured = settings.config.cache.directory;
  return configured.empty() ? config::find_cache_directory() : configured;
}

DomainName domain_of(const std::string& key) {
  if (const auto domain = postfix::policy_domain_of(key)) {
    return *domain;
  }
  throw Trouble("\"" + printable(key) +
                "\" names no domain that can have a policy: give a domain such as example.com");
}

Found find_entry(const Settings& settings, const DomainName& domain) {
  if (auto daemon = connect_to_daemon(settings)) {
    return {need(daemon->ask(control::ShowRequest{domain})).entry, true};
  }
  const auto view = open_view(settings);
  const auto record = need(view->find(domain));
  if (record.empty()) {
    return {};
  }
  auto entry = cache::decode_entry(record);
  if (!entry) {
    throw Trouble("the record of " + domain.str() + " cannot be read (" +
                  std::string(cache::to_string(entry.error())) +
                  "): the daemon replaces it when it next needs it");
  }
  return {std::make_shared<const cache::Entry>(std::move(*entry)), false};
}

Past find_history(const Settings& settings, const DomainName& domain) {
  if (auto daemon = connect_to_daemon(settings)) {
    auto found = need(daemon->ask(control::HistoryRequest{domain}));
    return {cache::complete(cache::decode_history(found.history), found.entry.get()),
            std::move(found.entry)};
  }
  const auto view = open_view(settings);
  const auto entry = cache::decode_entry(need(view->find(domain)));
  return {cache::complete(cache::decode_history(need(view->history(domain))),
                          entry ? &*entry : nullptr),
          entry ? std::make_shared<const cache::Entry>(*entry) : nullptr};
}

void each_record(const Settings& settings, const Visit& visit) {
  std::string after;
  do {
    // A connection for each page: one that is kept would be closed while a pager waits for a key.
    auto daemon = connect_to_daemon(settings);
    if (!daemon && after.empty()) {
      return need(open_view(settings)->each(visit));
    }
    control::Page page = need(need(std::move(daemon)).ask(control::ListRequest{after}));
    for (const control::Page::Record& record : page.records) {
      if (!visit(record.domain, record.bytes)) {
        return;
      }
    }
    after = std::move(page.next);
  } while (!after.empty());
}

Usage usage(const Settings& settings) {
  if (auto daemon = connect_to_daemon(settings)) {
    const control::Status::Cache cache = need(daemon->ask(control::StatusRequest{})).cache;
    return {cache.directory, cache.entries, cache.used_bytes, cache.max_bytes};
  }
  const auto totals = need(open_view(settings)->totals());
  return {cache_directory(settings), totals.entries, totals.used_bytes,
          settings.config.cache.max_size};
}

std::unique_ptr<cache::LmdbStore> open_to_change(const Settings& settings, Log& log) {
  const std::string directory = cache_directory(settings);
  std::error_code ec;
  if (!std::filesystem::is_directory(directory, ec)) {
    throw Trouble("there is no cache in " + directory +
                  ": start mtastsd once, or name its configuration with --config");
  }
  const cache::StoreOptions options{.directory = enter_cache_directory(directory),
                                    .max_size = settings.config.cache.max_size,
                                    .max_negative = settings.config.cache.max_negative,
                                    .versions = settings.config.cache.history};
  auto store = need(cache::LmdbStore::open(options, log));
  if (!store->writable()) {
    throw Trouble("the cache in " + directory +
                  " cannot be written by this user: run as root or as the user that mtastsd runs "
                  "as");
  }
  return store;
}

void commit(cache::LmdbStore& store) {
  if (!store.flush(kFlushLimit)) {
    throw Trouble("the cache could not be written: is the disk full?");
  }
}

void print_field(std::string_view name, std::string_view value, term::Colour colour) {
  std::fputs(term::field(term::look_at(STDOUT_FILENO), name, value, colour).c_str(), stdout);
}

int status_of(std::string_view reply) {
  if (reply.starts_with("OK ")) {
    return term::kGood;
  }
  const bool not_found = reply == "NOTFOUND" || reply.starts_with("NOTFOUND ");
  return not_found ? term::kNotFound : term::kTrouble;
}

std::string no_policy_text(const cache::Entry& entry) {
  const std::string detail =
      entry.no_policy_detail.empty() ? "" : " (" + printable(entry.no_policy_detail) + ")";
  switch (entry.no_policy_reason) {
    case cache::NoPolicyReason::NoRecord:
      return "the domain publishes no MTA-STS record";
    case cache::NoPolicyReason::UnusableRecord:
      return "the domain's MTA-STS record cannot be used" + detail;
    case cache::NoPolicyReason::DnsFailed:
      return "the lookup of its MTA-STS record failed" + detail;
    case cache::NoPolicyReason::FetchFailed:
    case cache::NoPolicyReason::None:
      break;
  }
  return entry.failure
             ? "the policy could not be fetched (" + printable(entry.failure->detail) + ")"
             : "no usable MTA-STS record was found";
}

nlohmann::ordered_json to_json(const DomainName& domain, const cache::EntryPtr& entry) {
  return entry ? nlohmann::ordered_json::parse(control::to_json(domain.view(), *entry)) : nullptr;
}

void print_line(const nlohmann::ordered_json& object) {
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  std::puts(object.dump(-1, ' ', true, kReplace).c_str());
}

std::string describe(const term::Terminal& terminal, const DomainName& domain,
                     const cache::Entry& entry, WallTime now) {
  std::string text = term::field(terminal, "Domain", domain.view());
  if (entry.holds_policy()) {
    const cache::StoredPolicy& stored = *entry.policy;
    const std::string patterns =
        joined(stored.policy.mx, " ", [](const auto& pattern) { return pattern.str(); });
    const bool over = stored.expires_at() <= now;
    text += term::field(
        terminal, "Mode", mtasts::to_string(stored.policy.mode),
        stored.policy.mode == mtasts::Mode::Enforce ? term::Colour::Green : term::Colour::Yellow);
    text += term::field(terminal, "Policy id", stored.id);
    text += term::field(terminal, "MX patterns", patterns.empty() ? "none" : patterns);
    text += term::field(terminal, "Fetched", date_and_span(stored.fetched_at, now));
    text +=
        term::field(terminal, over ? "Expired" : "Expires", date_and_span(stored.expires_at(), now),
                    over ? term::Colour::Red : term::Colour::None);
  } else {
    text += term::field(terminal, "Policy", "none: " + no_policy_text(entry));
  }
  text += term::field(terminal, "TXT checked", date_and_span(entry.txt_checked_at, now));
  text += term::field(terminal, "Next TXT check",
                      next_text(entry.recheck_at, now, "with the next query"));
  if (entry.holds_policy()) {
    text += term::field(terminal, "Next refresh", next_text(entry.due_at, now, "now"));
  }
  text += term::field(terminal, "Last used", date_and_span(entry.last_used_at, now));
  text += term::field(terminal, "Last error",
                      entry.failure ? failure_text(*entry.failure, now) : "none",
                      entry.failure ? term::Colour::Red : term::Colour::None);
  return text;
}

}  // namespace mtastsd::ctl
