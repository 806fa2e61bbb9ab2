#include "scenario/runner.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <set>
#include <sstream>
#include <utility>

#include "mtastsd/cache/entry.h"

namespace mtastsd::test {
namespace {

constexpr Milliseconds kSlack{2000};  // behind answer_timeout, for a reply that must come by it

std::pair<std::string, std::string> first_word(const std::string& text) {
  const auto end = text.find(' ');
  if (end == std::string::npos) {
    return {text, ""};
  }
  const auto rest = text.find_first_not_of(' ', end);
  return {text.substr(0, end), rest == std::string::npos ? "" : text.substr(rest)};
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (auto at = text.find(separator); at != std::string::npos; at = text.find(separator, from)) {
    parts.push_back(text.substr(from, at - from));
    from = at + separator.size();
  }
  parts.push_back(text.substr(from));
  return parts;
}

// "secure match=b:a servername=hostname" as the set of its words, the names of match= too.
std::set<std::string> words_of(const std::string& policy) {
  std::set<std::string> words;
  for (const std::string& word : split(policy, " ")) {
    if (word.starts_with("match=")) {
      for (const std::string& name : split(word.substr(6), ":")) {
        words.insert("match=" + name);
      }
    } else if (!word.empty()) {
      words.insert(word);
    }
  }
  return words;
}

// NOTFOUND, or the words of the policy: the names of match= exactly, others at least.
bool reply_is(const std::string& reply, const std::string& wanted) {
  if (wanted == "NOTFOUND") {
    return reply == "NOTFOUND ";
  }
  if (!reply.starts_with("OK ")) {
    return false;
  }
  const auto is_match = [](const std::string& word) { return word.starts_with("match="); };
  const std::set<std::string> got = words_of(reply.substr(3));
  const std::set<std::string> want = words_of(wanted);
  return std::includes(got.begin(), got.end(), want.begin(), want.end()) &&
         std::count_if(got.begin(), got.end(), is_match) ==
             std::count_if(want.begin(), want.end(), is_match);
}

std::optional<bool> compare(std::int64_t got, const std::string& relation, std::int64_t limit) {
  if (relation == "<=") {
    return got <= limit;
  }
  if (relation == ">=") {
    return got >= limit;
  }
  return relation == "==" ? std::optional(got == limit) : std::nullopt;
}

std::vector<std::string> texts_of(std::span<const Command> block) {
  std::vector<std::string> texts;
  for (const Command& line : block) {
    texts.push_back(line.text);
  }
  return texts;
}

// The lines from `at` on that are indented more than `outer`, each with those below it.
std::vector<Command> parse_block(const std::vector<std::string>& lines, std::size_t& at,
                                 std::size_t outer) {
  std::vector<Command> block;
  while (at < lines.size()) {
    const std::string& line = lines[at];
    const auto indent = line.find_first_not_of(' ');
    if (indent == std::string::npos || line[indent] == '#') {
      ++at;
      continue;
    }
    if (outer != std::string::npos && indent <= outer) {
      break;
    }
    Command command{at + 1, line.substr(indent, line.find_last_not_of(" \r") + 1 - indent), {}};
    ++at;
    command.block = parse_block(lines, at, indent);
    block.push_back(std::move(command));
  }
  return block;
}

}  // namespace

ParsedScenario parse_scenario(const std::string& file, const std::string& text) {
  ParsedScenario parsed;
  const std::vector<std::string> lines = split(text, "\n");
  std::size_t at = 0;
  parsed.commands = parse_block(lines, at, std::string::npos);
  for (const char* head : {"rule:", "rfc:"}) {
    if (parsed.commands.empty() || !parsed.commands.front().text.starts_with(head)) {
      parsed.error = file + ": does not begin with lines \"rule:\" and \"rfc:\"";
      return parsed;
    }
    parsed.commands.erase(parsed.commands.begin());
  }
  return parsed;
}

Runner::Runner(std::string file, LogCapture& log)
    : file_(std::move(file)),
      capture_(log),
      log_(LogOptions{LogLevel::Debug, LogFormat::Logfmt, LogTarget::Stderr}),
      sender_(
          loop_, world_.dns, world_.fetcher, log_, [] { return 0.5; },
          [this](std::uint64_t number, std::string_view reply) {
            Question& question = questions_.at(number);
            question.reply = reply;
            question.replied = loop_.steady();
          }),
      began_(loop_.steady()) {
  sender_.settings.directory = directory_.path() + "/cache";
  sender_.settings.dane = true;
}

Runner::~Runner() = default;

bool Runner::run(std::span<const Command> commands) {
  start();
  for (const Command& command : commands) {
    execute(command);
  }
  return good_;
}

void Runner::fail(const std::string& expected, const std::string& got) {
  std::cout << file_ << ":" << line_ << ": expected " << expected << ", got " << got << "\n";
  good_ = false;
}

void Runner::mistake(const std::string& what) {
  std::cout << file_ << ":" << line_ << ": " << what << "\n";
  good_ = false;
}

void Runner::execute(const Command& command) {
  line_ = command.line;
  const auto [verb, words] = first_word(command.text);
  const auto [domain, rest] = first_word(words);
  std::string wrong;
  if (verb == "txt") {
    wrong = world_.set_txt(domain, rest, texts_of(command.block));
  } else if (verb == "host") {
    wrong = world_.set_host(domain, rest);
  } else if (verb == "mx") {
    wrong = world_.set_mx(domain, rest);
  } else if (verb == "tlsa") {
    wrong = world_.set_tlsa(domain, rest);
  } else if (verb == "https") {
    wrong = world_.set_https(domain, rest, texts_of(command.block));
  } else if (verb == "repeat") {
    repeat(command);
  } else if (verb == "stop" || verb == "restart") {
    sender_.stop();
  } else if (verb == "kill") {
    sender_.kill();
  } else if (verb == "commits") {
    sender_.commit_after = Milliseconds(words == "off" ? -1 : 200);
  } else {
    using Action = void (Runner::*)(const std::string&);
    static const std::map<std::string, Action> actions = {
        {"time", &Runner::let_time_run},    {"at", &Runner::let_time_run_until},
        {"clock", &Runner::set_clock},      {"query", &Runner::query},
        {"dane", &Runner::query_by_dane},   {"ask", &Runner::ask},
        {"reply", &Runner::wait_for_reply}, {"expect", &Runner::expect},
        {"cache", &Runner::damage},         {"set", &Runner::set_option},
    };
    if (const auto action = actions.find(verb); action != actions.end()) {
      (this->*action->second)(words);
    } else if (verb == "refresh" && sender_.running() && DomainName::parse(words)) {
      auto refreshed =
          sender_.resolver().refresh(*DomainName::parse(words), resolver::Purpose::Refresh, {});
      resolver::tell_now_or_later(std::move(refreshed), [](const resolver::Answer&) {});
    } else if (verb != "start") {
      wrong = "no such command: " + verb;
    }
  }
  if (verb == "start" || verb == "restart" || verb == "kill") {
    start();
  }
  if (!wrong.empty()) {
    mistake(wrong);
  }
}

void Runner::repeat(const Command& command) {
  const int times = std::atoi(first_word(command.text).second.c_str());
  for (int i = 0; i < times && good_; ++i) {
    for (const Command& inner : command.block) {
      execute(inner);
    }
  }
}

// --- time and the service ---------------------------------------------------------------------

// By days: a FakeLoop bounds how many timers may fire in one go.
void Runner::advance(Milliseconds by) {
  constexpr Milliseconds kAtOnce = std::chrono::hours(24);
  for (; by > kAtOnce; by -= kAtOnce) {
    loop_.advance(kAtOnce);
  }
  loop_.advance(by);
}

void Runner::let_time_run(const std::string& words) {
  const Milliseconds by = parse_time(words.starts_with("+") ? words.substr(1) : words);
  if (by < Milliseconds(0)) {
    return mistake("no time: " + words);
  }
  advance(by);
}

void Runner::let_time_run_until(const std::string& words) {
  const Milliseconds since = parse_time(words);
  const auto passed = std::chrono::duration_cast<Milliseconds>(loop_.steady() - began_);
  if (since < passed) {
    return mistake("that is past, or no time: " + words);
  }
  advance(since - passed);
}

void Runner::set_clock(const std::string& words) {
  const Milliseconds value = parse_time(words.empty() ? words : words.substr(1));
  if (value < Milliseconds(0)) {
    return mistake("neither +TIME, -TIME nor =SECONDS: " + words);
  }
  const Seconds seconds = std::chrono::floor<Seconds>(value);
  switch (words.front()) {
    case '+':
      return loop_.set_wall(loop_.wall() + seconds);
    case '-':
      return loop_.set_wall(loop_.wall() - seconds);
    case '=':
      return loop_.set_wall(WallTime(seconds));
  }
  mistake("neither +TIME, -TIME nor =SECONDS: " + words);
}

void Runner::start() {
  if (!sender_.running()) {
    std::erase_if(questions_, [](const auto& item) { return !item.second.reply; });
    if (const std::string error = sender_.start(); !error.empty()) {
      mistake("does not start: " + error);
    }
  }
}

// What happens to the cache while the service is stopped.
void Runner::damage(const std::string& how) {
  namespace fs = std::filesystem;
  if (sender_.running()) {
    return mistake("stop it first");
  }
  const std::string data = sender_.settings.directory + "/data.mdb";
  if (how == "empty") {
    fs::resize_file(data, 0);
  } else if (how == "cut") {
    fs::resize_file(data, fs::file_size(data) / 2);
  } else if (how == "garbage") {
    std::ofstream(data, std::ios::trunc) << std::string(20000, '?');
  } else if (how == "gone") {
    fs::remove_all(sender_.settings.directory);
  } else if (how == "unwritable") {
    // Nothing can be made below a file, not even by root.
    std::ofstream(directory_.path() + "/file") << "no directory";
    sender_.settings.directory = directory_.path() + "/file/cache";
  } else {
    mistake("no such damage: " + how);
  }
}

void Runner::set_option(const std::string& words) {
  const auto [name, value] = first_word(words);
  resolver::Options& options = sender_.settings.resolver;
  const std::map<std::string, Seconds*> times = {
      {"recheck_min", &options.limits.recheck_min},
      {"recheck_max", &options.limits.recheck_max},
      {"negative_min", &options.limits.negative_min},
      {"negative_max", &options.limits.negative_max},
      {"retry_interval", &options.limits.retry_interval},
      {"refresh_interval", &options.limits.refresh_interval},
      {"idle_after", &options.limits.idle_after},
  };
  const std::map<std::string, std::size_t*> counts = {
      {"max_discovering", &options.max_discovering},
      {"max_fetching", &options.max_fetching},
      {"max_fetching_per_host", &options.max_fetching_per_host},
      {"max_domains", &options.max_domains},
  };
  const Milliseconds time = parse_time(value);
  if (time < Milliseconds(0)) {
    return mistake("no number: " + value);
  }
  if (const auto it = times.find(name); it != times.end()) {
    *it->second = std::chrono::floor<Seconds>(time);
  } else if (const auto count = counts.find(name); count != counts.end()) {
    *count->second = std::stoul(value);
  } else if (name == "answer_timeout") {
    sender_.settings.answer_timeout = time;
  } else {
    return mistake("no such setting: " + name);
  }
  sender_.stop();
  start();
}

// --- questions --------------------------------------------------------------------------------

void Runner::ask(const std::string& key) {
  ask_map("postfix", key);
}

void Runner::ask_map(const std::string& map, const std::string& key) {
  if (!sender_.running()) {
    return mistake("it does not run");
  }
  const std::uint64_t number = next_question_++;
  questions_[number] = {key, loop_.steady(), {}, {}};
  sender_.request(map + " " + key, number);
}

void Runner::query(const std::string& words) {
  ask(words);
  if (sender_.running()) {
    wait_for_reply(words);
  }
}

// As a Postfix that does DANE asks.
void Runner::query_by_dane(const std::string& words) {
  ask_map("dane", words);
  if (sender_.running()) {
    wait_for_reply(words);
  }
}

// Lets time run until the oldest question for `key` has its reply.
void Runner::wait_for_reply(const std::string& key) {
  const auto it = std::find_if(questions_.begin(), questions_.end(),
                               [&](const auto& item) { return item.second.key == key; });
  if (it == questions_.end()) {
    return mistake("nobody asked for " + key);
  }
  Question& question = it->second;
  const SteadyTime end = question.asked + sender_.settings.answer_timeout + kSlack;
  while (!question.reply && loop_.steady() < end) {
    const Milliseconds next = loop_.until_next();
    loop_.advance(std::clamp(next, Milliseconds(0), kSlack));
  }
  last_ = question;
  questions_.erase(it);
}

// --- expectations -----------------------------------------------------------------------------

void Runner::expect(const std::string& words) {
  const auto [what, rest] = first_word(words);
  if (what == "secure" || what == "dane-only" || what == "NOTFOUND") {
    expect_reply(words);
  } else if (!sender_.running()) {
    mistake("it does not run");
  } else if (what == "cached") {
    expect_cached(rest);
  } else if (what == "failure") {
    expect_failure(rest);
  } else if (what == "asked") {
    expect_asked(rest, true);
  } else if (what == "unasked") {
    expect_asked(rest, false);
  } else {
    expect_number(words);
  }
}

void Runner::expect_reply(const std::string& words) {
  if (!last_.reply) {
    return fail(words, "no reply");
  }
  for (const std::string& wanted : split(words, " or ")) {
    if (reply_is(*last_.reply, wanted)) {
      return;
    }
  }
  fail(words, "\"" + *last_.reply + "\"");
}

std::optional<std::int64_t> Runner::number_named(const std::string& what,
                                                 const std::string& argument) {
  const auto count = [&](const std::vector<std::string>& list, const std::string& wanted) {
    return argument.empty() ? static_cast<std::int64_t>(list.size())
                            : std::count(list.begin(), list.end(), wanted);
  };
  if (what == "fetches") {
    return count(world_.fetched, argument);
  }
  if (what == "lookups") {
    return std::count_if(world_.asked.begin(), world_.asked.end(), [&](const std::string& name) {
      return name.starts_with("_mta-sts.") && (argument.empty() || name.substr(9) == argument);
    });
  }
  if (what == "surveys") {
    return std::count(world_.asked.begin(), world_.asked.end(), "MX " + argument);
  }
  if (what == "took") {
    return std::chrono::ceil<Milliseconds>(last_.replied - last_.asked).count();
  }
  if (what == "waiting") {
    return std::count_if(questions_.begin(), questions_.end(),
                         [](const auto& item) { return !item.second.reply; });
  }
  if (what == "working") {
    return sender_.resolver().domains_at_work();
  }
  if (what == "refused") {
    return sender_.resolver().counters().overload.value();
  }
  if (what == "logged") {
    log_.flush();
    return capture_.lines_with(argument);
  }
  return std::nullopt;
}

// "fetches <= 3 example.com", "took <= 5s", "logged == 1 policy expired".
void Runner::expect_number(const std::string& words) {
  const auto [what, after_what] = first_word(words);
  const auto [relation, after_relation] = first_word(after_what);
  const auto [limit_text, argument] = first_word(after_relation);
  const Milliseconds limit = parse_time(limit_text);
  const auto got = number_named(what, argument);
  if (!got || limit < Milliseconds(0)) {
    return mistake("cannot be expected: " + words);
  }
  const bool is_time = what == "took";
  const auto met = compare(*got, relation, is_time ? limit.count() : limit.count() / 1000);
  if (!met) {
    return mistake("neither <=, >= nor ==: " + relation);
  }
  if (!*met) {
    fail(words, std::to_string(*got) + (is_time ? "ms" : ""));
  }
}

void Runner::expect_cached(const std::string& words) {
  const auto [domain, wanted] = first_word(words);
  const auto name = DomainName::parse(domain);
  const auto entry = name ? sender_.store().find(*name) : nullptr;
  std::string got = "nothing";
  if (entry) {
    got = entry->holds_policy() ? std::string(to_string(entry->policy->policy.mode)) : "no-policy";
  }
  if (got != wanted) {
    fail(words, got);
  }
}

void Runner::expect_failure(const std::string& words) {
  const auto [domain, wanted] = first_word(words);
  const auto name = DomainName::parse(domain);
  const auto entry = name ? sender_.store().find(*name) : nullptr;
  const std::string got =
      entry && entry->failure ? std::string(to_string(entry->failure->type)) : "none";
  if (got != wanted) {
    fail(words, got);
  }
}

void Runner::expect_asked(const std::string& name, bool wanted) {
  const auto& asked = world_.asked;
  const bool got =
      name.empty() ? !asked.empty() : std::find(asked.begin(), asked.end(), name) != asked.end();
  if (got != wanted) {
    std::string all;
    for (const std::string& one : asked) {
      all += " " + one;
    }
    fail((wanted ? "a DNS question " : "no DNS question ") + name, "these:" + all);
  }
}

}  // namespace mtastsd::test
