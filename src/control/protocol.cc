// Each struct lists its fields once, in a macro of nlohmann::json that writes and reads them.

#include "mtastsd/control/protocol.h"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <utility>

#include "json.h"
#include "mtastsd/base/text.h"
#include "mtastsd/control/override_json.h"

namespace mtastsd::control {
namespace {

using nlohmann::json;

// --- names of enumerators ---------------------------------------------------------------------

template <typename Enum, std::size_t kCount>
using Names = std::array<std::pair<Enum, std::string_view>, kCount>;

constexpr Names<Refreshed::Result, 4> names_of(Refreshed::Result /*tag*/) {
  return {{{Refreshed::Result::Fetched, "fetched"},
           {Refreshed::Result::Failed, "failed"},
           {Refreshed::Result::NoRecord, "no-record"},
           {Refreshed::Result::HeldBack, "held-back"}}};
}
constexpr Names<resolver::Change, 4> names_of(resolver::Change /*tag*/) {
  return {{{resolver::Change::None, "none"},
           {resolver::Change::New, "new"},
           {resolver::Change::Replaced, "replaced"},
           {resolver::Change::Drifted, "drifted"}}};
}
constexpr Names<resolver::Standing, 7> names_of(resolver::Standing /*tag*/) {
  return {{{resolver::Standing::Unknown, "unknown"},
           {resolver::Standing::NoPolicy, "no-policy"},
           {resolver::Standing::NotEnforced, "not-enforced"},
           {resolver::Standing::Enforced, "enforced"},
           {resolver::Standing::Dane, "dane"},
           {resolver::Standing::Overridden, "overridden"},
           {resolver::Standing::Observed, "observed"}}};
}
constexpr Names<ImportResult, 4> names_of(ImportResult /*tag*/) {
  return {{{ImportResult::Imported, "imported"},
           {ImportResult::Newer, "newer"},
           {ImportResult::Expired, "expired"},
           {ImportResult::Invalid, "invalid"}}};
}
constexpr Names<Error::Problem, 5> names_of(Error::Problem /*tag*/) {
  return {{{Error::Problem::UnknownCommand, "unknown-command"},
           {Error::Problem::BadRequest, "bad-request"},
           {Error::Problem::BadDomain, "bad-domain"},
           {Error::Problem::Busy, "busy"},
           {Error::Problem::Refused, "refused"}}};
}

template <typename Enum>
std::string_view name_of(Enum value) {
  for (const auto& [known, name] : names_of(Enum{})) {
    if (known == value) {
      return name;
    }
  }
  return "";
}

template <typename Enum>
Enum named(std::string_view text) {
  for (const auto& [value, name] : names_of(Enum{})) {
    if (name == text) {
      return value;
    }
  }
  throw std::invalid_argument("unknown word " + std::string(text));
}

// --- bytes ------------------------------------------------------------------------------------

std::string to_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL writes a final zero
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  text.pop_back();
  return text;
}

std::string from_base64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) {
    throw std::invalid_argument("not base64");
  }
  const auto padding = static_cast<std::size_t>(text.ends_with("==") ? 2 : text.ends_with('='));
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

cache::EntryPtr entry_from_base64(std::string_view text) {
  auto entry = cache::decode_entry(from_base64(text));
  if (!entry) {
    throw std::invalid_argument("the record is " + std::string(to_string(entry.error())));
  }
  return std::make_shared<const cache::Entry>(std::move(*entry));
}

}  // namespace
}  // namespace mtastsd::control

// --- writing and reading ----------------------------------------------------------------------

// What is missing or of another type throws.
NLOHMANN_JSON_NAMESPACE_BEGIN

template <typename Enum>
requires requires {
  mtastsd::control::names_of(Enum{});
}
struct adl_serializer<Enum> {
  static void to_json(json& to, Enum value) { to = mtastsd::control::name_of(value); }
  static void from_json(const json& from, Enum& value) {
    value = mtastsd::control::named<Enum>(from.get_ref<const std::string&>());
  }
};

template <typename T>
struct adl_serializer<std::optional<T>> {
  static void to_json(json& to, const std::optional<T>& value) {
    to = value ? json(*value) : json(nullptr);
  }
  static void from_json(const json& from, std::optional<T>& value) {
    value = from.is_null() ? std::nullopt : std::optional(from.get<T>());
  }
};

template <>
struct adl_serializer<mtastsd::WallTime> {
  static void to_json(json& to, mtastsd::WallTime value) {
    to = mtastsd::control::time_json(value);
  }
  static void from_json(const json& from, mtastsd::WallTime& value) {
    value = mtastsd::control::time_from_json(from);
  }
};

template <>
struct adl_serializer<mtastsd::Seconds> {
  static void to_json(json& to, mtastsd::Seconds value) { to = value.count(); }
  static void from_json(const json& from, mtastsd::Seconds& value) {
    value = mtastsd::Seconds(from.get<std::int64_t>());
  }
};

template <>
struct adl_serializer<mtastsd::cache::FailureType> {
  static void to_json(json& to, mtastsd::cache::FailureType value) { to = to_string(value); }
  static void from_json(const json& from, mtastsd::cache::FailureType& value) {
    value = mtastsd::control::failure_type_named(from.get_ref<const std::string&>());
  }
};

template <>
struct adl_serializer<mtastsd::DomainName> {
  static void to_json(json& to, const mtastsd::DomainName& value) { to = value.view(); }
  static mtastsd::DomainName from_json(const json& from) {
    return mtastsd::DomainName::parse(from.get_ref<const std::string&>()).value();
  }
};

template <>
struct adl_serializer<mtastsd::resolver::MxMismatch> {
  static void to_json(json& to, const mtastsd::resolver::MxMismatch& value) {
    to = {{"domain", value.domain}, {"since", value.since}, {"hosts", value.hosts}};
  }
  static mtastsd::resolver::MxMismatch from_json(const json& from) {
    return {from.at("domain").get<mtastsd::DomainName>(), from.at("since").get<mtastsd::WallTime>(),
            from.at("hosts").get<std::string>()};
  }
};

template <>
struct adl_serializer<mtastsd::overrides::Override> {
  static void to_json(json& to, const mtastsd::overrides::Override& value) {
    to = mtastsd::control::override_to_json(value);
  }
  static mtastsd::overrides::Override from_json(const json& from) {
    return mtastsd::control::override_from_json(from);
  }
};

template <>
struct adl_serializer<mtastsd::cache::EntryPtr> {
  static void to_json(json& to, const mtastsd::cache::EntryPtr& value) {
    to = value ? json(mtastsd::control::to_base64(encode(*value))) : json(nullptr);
  }
  static void from_json(const json& from, mtastsd::cache::EntryPtr& value) {
    if (!from.is_null()) {
      value = mtastsd::control::entry_from_base64(from.get_ref<const std::string&>());
    }
  }
};

NLOHMANN_JSON_NAMESPACE_END

// --- fields -----------------------------------------------------------------------------------

namespace mtastsd::postfix {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Profile, servername, report_attributes, enforce_testing, dane,
                                   observe)

}  // namespace mtastsd::postfix

namespace mtastsd::dane {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Target, by_mx, port)

}  // namespace mtastsd::dane

namespace mtastsd::answer {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Explanation, key, map, map_known, profile, domain, entry,
                                   standing, target, reply, enforced, override_in_force, looked_up)

void to_json(nlohmann::json& to, const Observed& value) {
  to = {value.domain, value.mails};
}
void from_json(const nlohmann::json& from, Observed& value) {
  from.at(0).get_to(value.domain);
  from.at(1).get_to(value.mails);
}
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ObservedSum, domains, left_out, domains_known)

}  // namespace mtastsd::answer

namespace mtastsd::control {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::Times, bounds_s, counts, sum_s)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::Stage, name, at_work, waiting, places)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::Connections, open, most, accepted, refused, malformed,
                                   stalled, greedy)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::Queries, total, about_domains, from_cache, hit_rate,
                                   enforced, dane, not_enforced, overridden, observed, no_policy,
                                   no_domain, waited, timed_out, answer_times)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::LookUps, at_work, started, joined, txt_failures, fetches,
                                   fetch_failures, fetch_errors, policies_invalid,
                                   certificates_invalid, refreshes, refused, dane_surveys,
                                   dane_failures, dane_unknown, mx_looks, mx_failures, times,
                                   stages)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::Cache, directory, writable, entries, policies,
                                   without_policy, pending, used_bytes, max_bytes, commits,
                                   failed_commits, commit_s, evicted, not_kept)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::DnsServer, server, answers, errors, last_error, silent,
                                   trusted, validates)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::DnsFailures, timeout, servfail, refused, not_understood,
                                   malformed, network, too_many)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::FailingDomain, domain, type, detail, failures,
                                   expires_at)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::Failing, count, complete, in_force, first)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status::Overrides, in_force, next_end, ignore, testing, pin,
                                   dane)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Status, version, pid, started_at, uptime_s, config, listeners,
                                   threads, connections, queries, look_ups, cache, dns,
                                   dns_failures, ca_source, ca_problem, failing, overdue_refreshes,
                                   ending_soon, mx_mismatches, overrides, observing,
                                   nothing_enforced)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HistoryFound, history, entry)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MxMismatches, domains, next)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ObserveReport, since, maps, sum)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Shown, entry)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Explained, explanation)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Refreshed, result, detail, change, entry)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Forgotten, entry)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Imported, result, detail)

void to_json(json& to, const Page::Record& value) {
  to = {value.domain, to_base64(value.bytes)};
}
void from_json(const json& from, Page::Record& value) {
  from.at(0).get_to(value.domain);
  value.bytes = from_base64(from.at(1).get_ref<const std::string&>());
}
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Page, records, next)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Overrides, all)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OverrideAdded, all)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OverrideRemoved, removed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Traced, events, lost, ended)

namespace {

// --- requests and replies ---------------------------------------------------------------------

Error bad_request(std::string message) {
  return {Error::Problem::BadRequest, std::move(message)};
}

// A member that is a string; empty if there is none.
std::string text_of(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

template <typename OfDomain>
Result<Request, Error> about_domain(const json& object) {
  const auto domain = DomainName::parse(text_of(object, "domain"));
  // RFC 8461 section 3.1: a name that leaves no room for "_mta-sts." cannot have a policy.
  if (!domain || !domain->under("_mta-sts")) {
    return failure(
        Error{Error::Problem::BadDomain, "\"domain\" is not a domain name that can have a policy"});
  }
  return OfDomain{.domain = *domain};
}

Result<Request, Error> refresh_request(const json& object) {
  auto request = about_domain<RefreshRequest>(object);
  if (request) {
    const auto it = object.find("force");
    std::get<RefreshRequest>(*request).force =
        it != object.end() && it->is_boolean() && it->get<bool>();
  }
  return request;
}

Result<Request, Error> import_request(const json& object) {
  auto request = about_domain<ImportRequest>(object);
  if (!request) {
    return request;
  }
  const auto it = object.find("entry");
  if (it == object.end() || !it->is_object()) {
    return failure(bad_request("\"entry\" is not a JSON object"));
  }
  auto entry = entry_from_json(*it);
  if (!entry) {
    return failure(bad_request("the entry " + entry.error()));
  }
  std::get<ImportRequest>(*request).entry = std::move(*entry);
  return request;
}

Result<Request, Error> override_add_request(const json& object) {
  const auto it = object.find("override");
  const std::string text = it == object.end() ? std::string() : it->dump();
  auto one = override_from_json(std::string_view(text));
  if (!one) {
    return failure(bad_request("the override " + one.error()));
  }
  return OverrideAddRequest{*std::move(one)};
}

Result<Request, Error> override_remove_request(const json& object) {
  const auto scope = overrides::Scope::parse(text_of(object, "name"));
  if (!scope) {
    return failure(Error{Error::Problem::BadDomain,
                         "\"name\" is neither a domain name nor \"*.\" and a domain name"});
  }
  return OverrideRemoveRequest{*scope};
}

struct ToJson {
  template <typename One>
  json operator()(const One& it) const {
    json object = {{"command", One::Answer::kName}};
    if constexpr (requires { it.domain; }) {
      object["domain"] = it.domain;
    }
    add(object, it);
    return object;
  }
  static void add(json& object, const ExplainRequest& it) {
    object["map"] = it.map;
    object["key"] = it.key;
  }
  static void add(json& object, const RefreshRequest& it) { object["force"] = it.force; }
  static void add(json& object, const ImportRequest& it) {
    object["entry"] = entry_to_json(it.entry);
  }
  static void add(json& object, const ListRequest& it) { object["after"] = it.after; }
  static void add(json& object, const MxMismatchesRequest& it) { object["after"] = it.after; }
  static void add(json& object, const OverrideAddRequest& it) {
    object["override"] = override_to_json(it.one);
  }
  static void add(json& object, const OverrideRemoveRequest& it) {
    object["name"] = it.scope.str();
  }
  template <typename One>
  static void add(json& /*object*/, const One& /*it*/) {}
};

template <typename... Answers>
Answer read_answer(std::string_view name, const json& value, std::variant<Answers...>* /*tag*/) {
  std::optional<Answer> answer;
  const auto try_one = [&]<typename One>(One /*tag*/) {
    if (name == One::kName) {
      answer = value.get<One>();
    }
  };
  (try_one(Answers{}), ...);
  if (!answer) {
    throw std::invalid_argument("unknown answer " + std::string(name));
  }
  return std::move(*answer);
}

}  // namespace

std::string_view to_string(Refreshed::Result result) {
  return name_of(result);
}

std::string encode(const Request& request) {
  return to_line(std::visit(ToJson{}, request));
}

std::string encode(const Reply& reply) {
  if (!reply) {
    return to_line({{"ok", false},
                    {"error", name_of(reply.error().problem)},
                    {"message", reply.error().message}});
  }
  return std::visit(
      [](const auto& answer) {
        return to_line({{"ok", true}, {"answer", answer.kName}, {"value", answer}});
      },
      *reply);
}

Result<Request, Error> decode_request(std::string_view line) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) {
    return failure(bad_request("a request is a JSON object in one line"));
  }
  const std::string command = text_of(object, "command");
  if (command == Status::kName) {
    return StatusRequest{};
  }
  if (command == Shown::kName) {
    return about_domain<ShowRequest>(object);
  }
  if (command == Explained::kName) {
    return ExplainRequest{text_of(object, "map"), text_of(object, "key")};
  }
  if (command == Refreshed::kName) {
    return refresh_request(object);
  }
  if (command == Forgotten::kName) {
    return about_domain<ForgetRequest>(object);
  }
  if (command == Imported::kName) {
    return import_request(object);
  }
  if (command == Page::kName) {
    return ListRequest{text_of(object, "after")};
  }
  if (command == Overrides::kName) {
    return OverridesRequest{};
  }
  if (command == OverrideAdded::kName) {
    return override_add_request(object);
  }
  if (command == HistoryFound::kName) {
    return about_domain<HistoryRequest>(object);
  }
  if (command == MxMismatches::kName) {
    return MxMismatchesRequest{text_of(object, "after")};
  }
  if (command == ObserveReport::kName) {
    return ObserveRequest{};
  }
  if (command == OverrideRemoved::kName) {
    return override_remove_request(object);
  }
  if (command == Traced::kName) {
    return about_domain<TraceRequest>(object);
  }
  return failure(Error{Error::Problem::UnknownCommand,
                       "this mtastsd does not know the command: use the mtastsctl of its version"});
}

Reply decode_reply(std::string_view line) {
  try {
    const json object = json::parse(line);
    if (object.at("ok").get<bool>()) {
      return read_answer(object.at("answer").get_ref<const std::string&>(), object.at("value"),
                         static_cast<Answer*>(nullptr));
    }
    return failure(Error{named<Error::Problem>(object.at("error").get_ref<const std::string&>()),
                         printable(object.at("message").get_ref<const std::string&>())});
  } catch (const std::exception& error) {
    return failure(
        Error{Error::Problem::Broken, "the reply cannot be read (" + printable(error.what()) +
                                          "): use the mtastsctl of the running mtastsd's version"});
  }
}

std::string to_json(const Status& status) {
  json object = status;
  object["running"] = true;
  return to_line(object);
}

}  // namespace mtastsd::control
