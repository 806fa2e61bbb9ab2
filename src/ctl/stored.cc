#include "stored.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "daemon.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/cache/cache_view.h"
#include "mtastsd/config/places.h"
#include "mtastsd/log/log.h"
#include "mtastsd/postfix/request.h"
#include "mtastsd/term/table.h"

namespace mtastsd::ctl {
namespace {

std::string date_and_span(WallTime time, WallTime now) {
  if (time == WallTime{}) {
    return "never";
  }
  return date_text(time) + " (" + relative_text(time, now) + ")";
}

Result<std::unique_ptr<cache::CacheView>, std::string> open_view(const Settings& settings) {
  auto view = cache::CacheView::open(cache_directory(settings));
  if (!view) {
    return failure(std::move(view.error().message));
  }
  return std::move(*view);
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

term::Colour colour_of(mtasts::Mode mode) {
  return mode == mtasts::Mode::Enforce ? term::Colour::Green : term::Colour::Yellow;
}

}  // namespace

std::string cache_directory(const Settings& settings) {
  const std::string& configured = settings.config.cache.directory;
  return configured.empty() ? config::find_cache_directory() : configured;
}

Result<DomainName, std::string> domain_of(const std::string& key) {
  if (const auto domain = postfix::policy_domain_of(key)) {
    return *domain;
  }
  return failure("\"" + printable(key) +
                 "\" names no domain that can have a policy: give a domain such as example.com");
}

Result<Found, std::string> find_entry(const Settings& settings, const DomainName& domain) {
  auto daemon = connect_to_daemon(settings);
  if (daemon) {
    auto shown = daemon->ask(control::ShowRequest{domain});
    if (!shown) {
      return failure(std::move(shown.error().message));
    }
    return Found{shown->entry, true};
  }
  if (daemon.error().problem != control::Error::Problem::NoDaemon) {
    return failure(std::move(daemon.error().message));
  }
  const auto view = open_view(settings);
  if (!view) {
    return failure(view.error());
  }
  const auto record = (*view)->find(domain);
  if (!record) {
    return failure(record.error());
  }
  if (record->empty()) {
    return Found{};
  }
  auto entry = cache::decode_entry(*record);
  if (!entry) {
    return failure("the record of " + domain.str() + " cannot be read (" +
                   std::string(cache::to_string(entry.error())) +
                   "): the daemon replaces it when it next needs it");
  }
  return Found{std::make_shared<const cache::Entry>(std::move(*entry)), false};
}

Result<void, std::string> each_record(const Settings& settings, const Visit& visit) {
  std::string after;
  do {
    // A connection for each page: one that is kept would be closed while a pager waits for a key.
    auto daemon = connect_to_daemon(settings);
    if (!daemon && daemon.error().problem == control::Error::Problem::NoDaemon && after.empty()) {
      const auto view = open_view(settings);
      return view ? (*view)->each(visit) : failure(view.error());
    }
    if (!daemon) {
      return failure(std::move(daemon.error().message));
    }
    auto page = daemon->ask(control::ListRequest{after});
    if (!page) {
      return failure(std::move(page.error().message));
    }
    for (const control::Page::Record& record : page->records) {
      if (!visit(record.domain, record.bytes)) {
        return {};
      }
    }
    after = std::move(page->next);
  } while (!after.empty());
  return {};
}

Result<Usage, std::string> usage(const Settings& settings) {
  auto daemon = connect_to_daemon(settings);
  if (daemon) {
    const auto status = daemon->ask(control::StatusRequest{});
    if (!status) {
      return failure(status.error().message);
    }
    return Usage{status->cache.directory, status->cache.entries, status->cache.used_bytes,
                 status->cache.max_bytes};
  }
  if (daemon.error().problem != control::Error::Problem::NoDaemon) {
    return failure(std::move(daemon.error().message));
  }
  const auto view = open_view(settings);
  const auto totals = view ? (*view)->totals() : failure(view.error());
  if (!totals) {
    return failure(totals.error());
  }
  return Usage{cache_directory(settings), totals->entries, totals->used_bytes,
               settings.config.cache.max_size};
}

Result<std::unique_ptr<cache::LmdbStore>, std::string> open_to_change(const Settings& settings,
                                                                      Log& log) {
  cache::StoreOptions options;
  options.directory = cache_directory(settings);
  options.max_size = settings.config.cache.max_size;
  options.max_negative = settings.config.cache.max_negative;
  std::error_code ec;
  if (!std::filesystem::is_directory(options.directory, ec)) {
    return failure("there is no cache in " + options.directory +
                   ": start mtastsd once, or name its configuration with --config");
  }
  auto store = cache::LmdbStore::open(options, log);
  if (!store) {
    return failure(std::move(store.error()));
  }
  if (!(*store)->writable()) {
    return failure("the cache in " + options.directory +
                   " cannot be written by this user: run as root or as the user that mtastsd runs "
                   "as");
  }
  return store;
}

std::string short_problem(const cache::Failure& failed) {
  std::string text;
  switch (failed.type) {
    case cache::FailureType::FetchError:
      text = "fetch";
      break;
    case cache::FailureType::PolicyInvalid:
      text = "policy";
      break;
    case cache::FailureType::WebpkiInvalid:
      text = "certificate";
      break;
  }
  return text + " x" + std::to_string(failed.count);
}

std::string describe(const term::Terminal& terminal, const DomainName& domain,
                     const cache::Entry& entry, WallTime now) {
  std::string text = term::field(terminal, "Domain", domain.view());
  if (entry.policy) {
    const cache::StoredPolicy& stored = *entry.policy;
    std::string patterns;
    for (const auto& pattern : stored.policy.mx) {
      patterns += (patterns.empty() ? "" : " ") + pattern.str();
    }
    const bool over = stored.expires_at() <= now;
    text += term::field(terminal, "Mode", mtasts::to_string(stored.policy.mode),
                        colour_of(stored.policy.mode));
    text += term::field(terminal, "Policy id", stored.id);
    text += term::field(terminal, "MX patterns", patterns.empty() ? "none" : patterns);
    text += term::field(terminal, "Fetched", date_and_span(stored.fetched_at, now));
    text +=
        term::field(terminal, over ? "Expired" : "Expires", date_and_span(stored.expires_at(), now),
                    over ? term::Colour::Red : term::Colour::None);
  } else {
    text += term::field(terminal, "Policy", "none");
  }
  text += term::field(terminal, "TXT checked", date_and_span(entry.txt_checked_at, now));
  text += term::field(terminal, "Next TXT check",
                      next_text(entry.recheck_at, now, "with the next query"));
  if (entry.policy) {
    text += term::field(terminal, "Next refresh", next_text(entry.due_at, now, "now"));
  }
  text += term::field(terminal, "Last used", date_and_span(entry.last_used_at, now));
  text += term::field(terminal, "Last error",
                      entry.failure ? failure_text(*entry.failure, now) : "none",
                      entry.failure ? term::Colour::Red : term::Colour::None);
  return text;
}

}  // namespace mtastsd::ctl
