#include "pages.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/control/readiness.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/term/table.h"
#include "mtastsd/web/request.h"

namespace mtastsd::web {
namespace {

using control::Status;
using term::count_text;

std::string percent(std::uint64_t part, std::uint64_t all) {
  std::array<char, 16> text{};
  const double value = all == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(all);
  std::snprintf(text.data(), text.size(), "%.1f%%", value);
  return text.data();
}

void link(const Frame& frame, std::string_view path, std::string_view label, bool here,
          Html& html) {
  html.raw("<a href=\"").text(frame.prefix).text(path).raw("\"");
  if (here) {
    html.raw(" aria-current=\"page\"");
  }
  html.raw(">").text(label).raw("</a>");
}

void domain_link(const Frame& frame, std::string_view domain, Html& html) {
  html.raw("<a class=\"name\" href=\"")
      .text(frame.prefix)
      .raw("/domain/")
      .text(percent_encoded(domain))
      .raw("\">")
      .text(domain)
      .raw("</a>");
}

// A moment for people, and exactly for machines and those who point at it.
void moment(WallTime time, WallTime now, Html& html) {
  if (time == WallTime{}) {
    html.raw("never");
    return;
  }
  html.raw("<time datetime=\"")
      .text(timestamp(time))
      .raw("\" title=\"")
      .text(date_text(time))
      .raw("\">")
      .text(relative_text(time, now))
      .raw("</time>");
}

void tile(std::string_view label, std::string_view value, std::string_view note, Html& html) {
  html.raw("<div class=\"tile\"><dt>").text(label).raw("</dt><dd><b>").text(value);
  html.raw("</b><span>").text(note).raw("</span></dd></div>");
}

void row(std::string_view label, std::string_view value, Html& html) {
  html.raw("<dt>").text(label).raw("</dt><dd>").text(value).raw("</dd>");
}

std::vector<std::string> problems_of(const Status& status) {
  std::vector<std::string> found;
  for (auto problem : {control::cache_problem(status), control::authorities_problem(status)}) {
    if (problem) {
      found.push_back(std::move(*problem));
    }
  }
  if (control::no_dns_server_is_good(status)) {
    found.emplace_back("no DNS server gave a good answer when last asked");
  }
  if (status.overdue_refreshes > 0) {
    found.push_back(counted(status.overdue_refreshes, "policy", "policies") +
                    " in force waited too long for a refresh");
  }
  if (!status.observing.empty()) {
    found.push_back(status.nothing_enforced ? "nothing is enforced: all maps only observe"
                                            : "nothing is enforced where maps only observe: " +
                                                  joined(status.observing, ", "));
  }
  if (status.connections.open >= status.connections.most) {
    found.emplace_back("all connections for Postfix are in use");
  }
  return found;
}

void state_of(const Status& status, Html& html) {
  const std::vector<std::string> problems = problems_of(status);
  if (problems.empty()) {
    html.raw("<p class=\"state good\"><b>All is well.</b> ");
  } else {
    html.raw("<div class=\"state bad\" role=\"status\"><b>Something is wrong.</b><ul>");
    for (const std::string& problem : problems) {
      html.raw("<li>").text(problem).raw("</li>");
    }
    html.raw("</ul>");
  }
  html.raw("<span>Running for ").text(span_text(status.uptime_s));
  html.raw(", since ").text(date_text(status.started_at)).raw(".</span>");
  if (problems.empty()) {
    html.raw("</p>");
  } else {
    html.raw("</div>");
  }
}

// The time within which so much of them was answered.
std::string within(const Status::Times& times, double fraction) {
  std::uint64_t all = 0;
  for (const std::uint64_t count : times.counts) {
    all += count;
  }
  std::uint64_t below = 0;
  for (std::size_t part = 0; part < times.bounds_s.size() && all > 0; ++part) {
    below += times.counts[part];
    if (static_cast<double>(below) >= fraction * static_cast<double>(all)) {
      const auto bound = Milliseconds(static_cast<std::int64_t>(times.bounds_s[part] * 1000));
      return bound.count() < 1000 ? std::to_string(bound.count()) + " ms"
                                  : span_text(std::chrono::ceil<Seconds>(bound));
    }
  }
  return "";
}

void tiles(const Status& status, const Census::Totals* census, Html& html) {
  html.raw("<dl class=\"tiles\">");
  const Status::Queries& queries = status.queries;
  tile("Answered from the cache",
       queries.hit_rate ? percent(queries.from_cache, queries.about_domains) : "–",
       count_text(queries.from_cache) + " of " + count_text(queries.about_domains) +
           " queries about domains",
       html);
  const std::string median = within(queries.answer_times, 0.5);
  tile("Waited for a lookup", count_text(queries.waited),
       (median.empty() ? "" : "half of them at most " + median + "; ") +
           count_text(queries.timed_out) + " timed out",
       html);
  if (census != nullptr) {
    tile("Policies in force", count_text(census->enforce + census->testing + census->none),
         count_text(census->enforce) + " enforce, " + count_text(census->testing) + " testing, " +
             count_text(census->none) + " none",
         html);
  } else {
    tile("Policies in the cache", count_text(status.cache.policies), "being counted", html);
  }
  tile("Cache", term::size_text(status.cache.used_bytes),
       "of " + term::size_text(status.cache.max_bytes) + "; " + count_text(status.cache.entries) +
           " domains",
       html);
  html.raw("</dl>");
}

struct Share {
  std::string_view name;
  std::string_view style;
  std::uint64_t count;
};

// Inline styles are not allowed, so the bar is a picture.
void answers(const Status::Queries& queries, Html& html) {
  const std::array<Share, 6> shares = {
      {{"policy enforced", "s1", queries.enforced},
       {"left to DANE", "s2", queries.dane},
       {"policy not enforced", "s3", queries.not_enforced + queries.observed},
       {"override", "s4", queries.overridden},
       {"no policy", "s5", queries.no_policy},
       {"key without a domain", "s6", queries.no_domain}}};
  std::uint64_t all = 0;
  for (const Share& share : shares) {
    all += share.count;
  }
  html.raw("<section><h2>What Postfix was told</h2>");
  if (all == 0) {
    html.raw("<p class=\"quiet\">Postfix has not asked yet.</p></section>");
    return;
  }
  html.raw(
      "<svg class=\"bar\" viewBox=\"0 0 1000 12\" preserveAspectRatio=\"none\" "
      "aria-hidden=\"true\">");
  std::uint64_t below = 0;
  for (const Share& share : shares) {
    const std::uint64_t from = below * 1000 / all;
    below += share.count;
    html.raw("<rect height=\"12\" class=\"").text(share.style).raw("\" x=\"");
    html.text(std::to_string(from)).raw("\" width=\"");
    html.text(std::to_string(below * 1000 / all - from)).raw("\"/>");
  }
  html.raw("</svg><ul class=\"legend\">");
  for (const Share& share : shares) {
    if (share.count > 0) {
      html.raw("<li class=\"").text(share.style).raw("\"><b>").text(count_text(share.count));
      html.raw("</b> ").text(share.name).raw(" <span>").text(percent(share.count, all));
      html.raw("</span></li>");
    }
  }
  html.raw("</ul></section>");
}

void failing(const Frame& frame, const Census::Totals* census, Html& html) {
  if (census == nullptr || census->failing == 0) {
    return;
  }
  html.raw("<section><h2>Policies that cannot be refreshed</h2><p>");
  html.text(counted(census->failing, "policy stays", "policies stay"));
  html.raw(
      " in force until it ends. Usually it is the policy host of the domain that fails. <a "
      "href=\"");
  html.text(frame.prefix).raw("/policies?state=failing\">List them</a></p></section>");
}

std::string_view dnssec_of(const Status::DnsServer& server) {
  if (!server.validates) {
    return "not known";
  }
  return !*server.validates ? "does not validate"
         : server.trusted   ? "validates"
                            : "validates, but is not trusted";
}

void dns(const Status& status, Html& html) {
  html.raw(
      "<section><h2>DNS servers</h2><div class=\"wide\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"DNS servers\"><table><thead><tr><th>Server</th>"
      "<th>State</th><th class=\"n\">Answers</th><th class=\"n\">Errors</th><th>DNSSEC</th>"
      "</tr></thead><tbody>");
  for (const Status::DnsServer& server : status.dns) {
    html.raw("<tr><td class=\"name\">").text(server.server).raw("</td><td>");
    if (server.silent || server.last_error) {
      html.raw("<span class=\"mark bad\">");
      html.text(server.silent ? "does not answer" : *server.last_error).raw("</span>");
    } else if (server.answers == 0) {
      html.raw("<span class=\"mark\">not used yet</span>");
    } else {
      html.raw("<span class=\"mark good\">good</span>");
    }
    html.raw("</td><td class=\"n\">").text(count_text(server.answers));
    html.raw("</td><td class=\"n\">").text(count_text(server.errors));
    html.raw("</td><td>").text(dnssec_of(server)).raw("</td></tr>");
  }
  html.raw("</tbody></table></div></section>");
}

void details(const Status& status, Html& html) {
  html.raw("<section><h2>At work</h2><dl class=\"facts\">");
  const Status::LookUps& look_ups = status.look_ups;
  row("Lookups",
      count_text(look_ups.started) + " started, " + count_text(look_ups.at_work) + " at work, " +
          count_text(look_ups.refused) + " refused",
      html);
  row("Fetches",
      count_text(look_ups.fetches) + ", of which " + count_text(look_ups.fetch_failures) +
          " failed",
      html);
  row("Refreshes",
      count_text(look_ups.refreshes) + " started, " + count_text(status.overdue_refreshes) +
          " overdue",
      html);
  row("Connections",
      count_text(status.connections.open) + " of " + count_text(status.connections.most) + " open",
      html);
  row("Waits for the disk", counted(status.cache.pending, "change", "changes"), html);
  row("MX hosts",
      status.mx_mismatches == 0 ? "no mismatch with a policy is known"
                                : counted(status.mx_mismatches, "domain", "domains") +
                                      " with no MX host that matches the policy",
      html);
  row("Overrides",
      status.overrides.in_force == 0 ? "none" : count_text(status.overrides.in_force) + " in force",
      html);
  row("Listens on", joined(status.listeners, " "), html);
  row("Configuration", status.config.value_or("built-in defaults"), html);
  row("Version", status.version, html);
  html.raw("</dl></section>");
}

struct StateWord {
  std::string_view word;
  std::string_view label;
};
constexpr std::array<StateWord, 8> kStates = {{{"policies", "all policies"},
                                               {"enforce", "mode enforce"},
                                               {"testing", "mode testing"},
                                               {"none", "mode none"},
                                               {"ending", "ending within a day"},
                                               {"failing", "failing to refresh"},
                                               {"without", "without a policy"},
                                               {"all", "everything"}}};

std::string_view word_of(Filter::State state) {
  return kStates.at(static_cast<std::size_t>(state)).word;
}

// "enforce", or why there is no policy.
std::string_view standing_of(const cache::Entry& entry) {
  switch (entry.no_policy_reason) {
    case cache::NoPolicyReason::NoRecord:
      return "no record";
    case cache::NoPolicyReason::UnusableRecord:
      return "record unusable";
    case cache::NoPolicyReason::DnsFailed:
      return "DNS failed";
    case cache::NoPolicyReason::FetchFailed:
      return "fetch failed";
    case cache::NoPolicyReason::None:
      break;
  }
  return entry.policy ? mtasts::to_string(entry.policy->policy.mode) : "no policy";
}

std::string_view class_of(const cache::Entry& entry) {
  if (!entry.holds_policy()) {
    return "none";
  }
  switch (entry.policy->policy.mode) {
    case mtasts::Mode::Enforce:
      return "good";
    case mtasts::Mode::Testing:
      return "note";
    case mtasts::Mode::None:
      break;
  }
  return "none";
}

void filter_form(const Frame& frame, const Filter& filter, Html& html) {
  html.raw("<form class=\"filter\" action=\"").text(frame.prefix).raw("/policies\">");
  html.raw(
      "<label>Name begins with <input name=\"name\" autocapitalize=\"off\" "
      "autocomplete=\"off\" spellcheck=\"false\" value=\"");
  html.text(filter.prefix).raw("\"></label><label>Show <select name=\"state\">");
  for (const StateWord& state : kStates) {
    html.raw("<option value=\"").text(state.word).raw("\"");
    if (state.word == word_of(filter.state)) {
      html.raw(" selected");
    }
    html.raw(">").text(state.label).raw("</option>");
  }
  html.raw("</select></label><button>Show</button></form>");
}

void entry_row(const Frame& frame, const DomainName& domain, const cache::Entry& entry,
               Html& html) {
  html.raw("<tr><td>");
  domain_link(frame, domain.view(), html);
  html.raw("</td><td><span class=\"mark ")
      .text(class_of(entry))
      .raw("\">")
      .text(standing_of(entry));
  html.raw("</span></td><td>");
  if (entry.holds_policy()) {
    moment(entry.policy->expires_at(), frame.now, html);
  }
  html.raw("</td><td>");
  moment(entry.last_used_at, frame.now, html);
  html.raw("</td><td>");
  if (entry.failure) {
    html.raw("<span class=\"mark bad\">").text(cache::to_string(entry.failure->type));
    html.raw("</span>");
  }
  html.raw("</td></tr>");
}

void moment_row(std::string_view label, WallTime time, WallTime now, Html& html) {
  html.raw("<dt>").text(label).raw("</dt><dd>");
  moment(time, now, html);
  html.raw("</dd>");
}

void policy_facts(const cache::StoredPolicy& stored, WallTime now, Html& html) {
  row("Id", stored.id, html);
  html.raw("<dt>Mode</dt><dd>").text(mtasts::to_string(stored.policy.mode)).raw("</dd>");
  row("Max age", duration_text(stored.policy.max_age), html);
  moment_row("Fetched", stored.fetched_at, now, html);
  moment_row(stored.expires_at() > now ? "Ends" : "Ended", stored.expires_at(), now, html);
}

void failure_of(const cache::Failure& failure, WallTime now, Html& html) {
  html.raw("<section><h2>The last fetch failed</h2><dl class=\"facts\">");
  html.raw("<dt>Why</dt><dd><span class=\"mark bad\">").text(cache::to_string(failure.type));
  html.raw("</span> ").text(failure.detail).raw("</dd>");
  row("For id", failure.id, html);
  row("Attempts", count_text(failure.count), html);
  moment_row("First", failure.first_at, now, html);
  moment_row("Not again before", failure.retry_at, now, html);
  html.raw("</dl></section>");
}

void answer_of(const answer::Explanation& it, Html& html) {
  html.raw("<section><h2>What Postfix is told</h2>");
  if (it.reply.empty()) {
    html.raw(
        "<p class=\"quiet\">Nothing current is known: the next query looks it up.</p></section>");
    return;
  }
  html.raw("<pre class=\"reply\">").text(it.reply).raw("</pre>");
  if (it.override_in_force) {
    html.raw("<p>This comes from an override by the operator: ");
    html.text(it.override_in_force->reason).raw("</p>");
  }
  html.raw("</section>");
}

}  // namespace

namespace {

Html head_of_page(const Frame& frame, std::string_view title, Tab tab) {
  Html html;
  html.raw(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<meta name=\"color-scheme\" content=\"light dark\"><title>");
  html.text(title).raw(" – mtastsd</title><link rel=\"stylesheet\" href=\"");
  html.text(frame.prefix)
      .raw("/style.css\"><link rel=\"icon\" href=\"")
      .text(frame.prefix)
      .raw("/icon.svg\"><script src=\"")
      .text(frame.prefix);
  html.raw(
      "/update.js\" defer></script></head><body><a class=\"skip\" href=\"#main\">Skip to the "
      "content</a><header><div><a class=\"mark-of-us\" href=\"");
  html.text(frame.prefix).raw("/\">mtastsd</a><nav aria-label=\"Pages\">");
  link(frame, "/", "Overview", tab == Tab::Overview, html);
  link(frame, "/policies", "Policies", tab == Tab::Policies, html);
  html.raw("</nav></div></header><main id=\"main\">");
  return html;
}

Html end_of_page() {
  Html html;
  html.raw(
      "</main><footer><p>mtastsd: MTA-STS (RFC 8461) for Postfix</p></footer></body></html>\n");
  return html;
}

}  // namespace

std::string page(const Frame& frame, std::string_view title, Tab tab, const Html& main) {
  Html html = head_of_page(frame, title, tab);
  html.part(main).part(end_of_page());
  return html.take();
}

Html message(std::string_view heading, std::string_view sentence) {
  Html html;
  html.raw("<h1>").text(heading).raw("</h1><p>").text(sentence).raw("</p>");
  return html;
}

Html overview(const Frame& frame, const Status& status, const Census::Totals* census) {
  Html html;
  html.raw("<div id=\"live\"><h1>Overview</h1>");
  state_of(status, html);
  tiles(status, census, html);
  answers(status.queries, html);
  failing(frame, census, html);
  dns(status, html);
  details(status, html);
  html.raw("</div>");
  return html;
}

Filter::State parse_state(std::string_view word) {
  const auto* const it = std::find_if(kStates.begin(), kStates.end(),
                                      [&](const StateWord& state) { return state.word == word; });
  return it == kStates.end() ? Filter::State::Policies
                             : static_cast<Filter::State>(it - kStates.begin());
}

bool Filter::takes(const cache::Entry& entry, WallTime now) const {
  const bool policy = entry.holds_policy();
  const auto mode_is = [&](mtasts::Mode mode) {
    return policy && entry.policy->policy.mode == mode;
  };
  switch (state) {
    case State::Policies:
      return policy;
    case State::Enforce:
      return mode_is(mtasts::Mode::Enforce);
    case State::Testing:
      return mode_is(mtasts::Mode::Testing);
    case State::None:
      return mode_is(mtasts::Mode::None);
    case State::EndingSoon:
      return policy && entry.policy->expires_at() <= now + Census::kSoon;
    case State::Failing:
      return policy && cache::is_failing(entry, now);
    case State::Without:
      return !policy;
    case State::All:
      return true;
  }
  return true;
}

Html list(const Frame& frame, const Filter& filter, const List& found) {
  Html html;
  html.raw("<h1>Policies</h1>");
  filter_form(frame, filter, html);
  if (found.entries.empty()) {
    html.raw("<p class=\"quiet\">None of the ").text(count_text(found.searched));
    html.raw(" domains that were searched is like this.</p>");
  } else {
    html.raw(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" "
        "aria-label=\"Policies\"><table><thead><tr><th>Domain</th><th>State</th><th>Ends</th>"
        "<th>Last mail</th><th>Last fetch</th></tr></thead><tbody>");
    for (const auto& [domain, entry] : found.entries) {
      entry_row(frame, domain, *entry, html);
    }
    html.raw("</tbody></table></div>");
  }
  if (!found.next.empty()) {
    html.raw("<p class=\"more\"><a href=\"").text(frame.prefix).raw("/policies?state=");
    html.text(word_of(filter.state)).raw("&amp;name=").text(percent_encoded(filter.prefix));
    html.raw("&amp;after=").text(percent_encoded(found.next)).raw("\">");
    html.raw("More, after <span class=\"name\">").text(found.next).raw("</span></a></p>");
  }
  html.raw(
      "<p class=\"quiet\">What is on disk is listed; a new policy is there within seconds.</p>");
  return html;
}

Html domain_page(const Frame& frame, const DomainName& domain, const cache::EntryPtr& entry,
                 const answer::Explanation* explanation) {
  Html html;
  html.raw("<h1 class=\"name\">").text(domain.view()).raw("</h1>");
  if (!entry) {
    html.raw(
        "<p class=\"state none\"><b>Nothing is known of this domain.</b> "
        "<span>Postfix has not asked about it lately.</span></p>");
  } else {
    html.raw("<p class=\"state ").text(class_of(*entry)).raw("\"><b>");
    html.text(entry->holds_policy() ? "Policy in mode " : "No policy: ");
    html.text(standing_of(*entry)).raw("</b>");
    if (!entry->no_policy_detail.empty()) {
      html.raw(" <span>").text(entry->no_policy_detail).raw("</span>");
    }
    html.raw("</p>");
  }
  if (explanation != nullptr) {
    answer_of(*explanation, html);
  }
  if (entry) {
    html.raw("<section><h2>In the cache</h2><dl class=\"facts\">");
    if (entry->policy) {
      policy_facts(*entry->policy, frame.now, html);
    }
    moment_row("Record checked", entry->txt_checked_at, frame.now, html);
    moment_row("Next check", entry->recheck_at, frame.now, html);
    moment_row("Last mail", entry->last_used_at, frame.now, html);
    if (entry->holds_policy()) {
      moment_row("Next refresh", entry->due_at, frame.now, html);
    }
    html.raw("</dl></section>");
  }
  if (entry && entry->failure) {
    failure_of(*entry->failure, frame.now, html);
  }
  if (entry && entry->holds_policy()) {
    html.raw("<section><h2>The policy, as mtastsd understands it</h2><pre>");
    // Each line by itself: an end of line is no text to be escaped.
    const std::string text = mtasts::text_of(entry->policy->policy);
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      line = line.substr(0, std::min(line.find('\r'), line.size()));
      html.text(line).raw("\n");
    }
    html.raw("</pre></section>");
  }
  return html;
}

}  // namespace mtastsd::web
