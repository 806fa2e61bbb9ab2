// Each struct says its fields once, in fields(), which writes them or reads them.

#include "mtastsd/control/protocol.h"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "json.h"

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
constexpr Names<resolver::Standing, 4> names_of(resolver::Standing /*tag*/) {
  return {{{resolver::Standing::Unknown, "unknown"},
           {resolver::Standing::NoPolicy, "no-policy"},
           {resolver::Standing::NotEnforced, "not-enforced"},
           {resolver::Standing::Enforced, "enforced"}}};
}
constexpr Names<ImportResult, 4> names_of(ImportResult /*tag*/) {
  return {{{ImportResult::Imported, "imported"},
           {ImportResult::Newer, "newer"},
           {ImportResult::Expired, "expired"},
           {ImportResult::Invalid, "invalid"}}};
}
constexpr Names<Error::Problem, 4> names_of(Error::Problem /*tag*/) {
  return {{{Error::Problem::UnknownCommand, "unknown-command"},
           {Error::Problem::BadRequest, "bad-request"},
           {Error::Problem::BadDomain, "bad-domain"},
           {Error::Problem::Busy, "busy"}}};
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

// --- writing and reading ----------------------------------------------------------------------

class Writer {
 public:
  template <typename T>
  using Ref = const T&;

  template <typename T>
  void operator()(const char* name, const T& value) {
    object_[name] = written(value);
  }
  template <typename T>
  static json object(const T& value) {
    Writer writer;
    fields(writer, value);
    return std::move(writer.object_);
  }

 private:
  template <typename T>
  static json written(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      return name_of(value);
    } else if constexpr (std::is_class_v<T>) {
      return object(value);
    } else {
      return value;
    }
  }
  static json written(const std::string& value) { return value; }
  static json written(WallTime value) { return time_json(value); }
  static json written(Seconds value) { return value.count(); }
  static json written(cache::FailureType value) { return to_string(value); }
  static json written(const DomainName& value) { return value.view(); }
  static json written(const cache::EntryPtr& value) {
    return value ? json(to_base64(cache::encode(*value))) : json(nullptr);
  }
  static json written(const Page::Record& value) { return {value.domain, to_base64(value.bytes)}; }
  template <typename T>
  static json written(const std::optional<T>& value) {
    return value ? written(*value) : json(nullptr);
  }
  template <typename T>
  static json written(const std::vector<T>& values) {
    json array = json::array();
    for (const T& value : values) {
      array.push_back(written(value));
    }
    return array;
  }

  json object_ = json::object();
};

// Throws for what is missing or of another type.
class Reader {
 public:
  template <typename T>
  using Ref = T&;

  explicit Reader(const json& object) : object_(object) {}

  template <typename T>
  void operator()(const char* name, T& value) {
    read(object_.at(name), value);
  }
  template <typename T>
  static void object(const json& from, T& value) {
    Reader reader(from);
    fields(reader, value);
  }

 private:
  template <typename T>
  static void read(const json& from, T& value) {
    if constexpr (std::is_enum_v<T>) {
      value = named<T>(from.get_ref<const std::string&>());
    } else if constexpr (std::is_class_v<T>) {
      object(from, value);
    } else {
      from.get_to(value);
    }
  }
  static void read(const json& from, std::string& value) { from.get_to(value); }
  static void read(const json& from, WallTime& value) { value = time_from_json(from); }
  static void read(const json& from, Seconds& value) { value = Seconds(from.get<std::int64_t>()); }
  static void read(const json& from, cache::FailureType& value) {
    value = failure_type_named(from.get_ref<const std::string&>());
  }
  static void read(const json& from, cache::EntryPtr& value) {
    if (from.is_null()) {
      return;
    }
    auto entry = cache::decode_entry(from_base64(from.get_ref<const std::string&>()));
    if (!entry) {
      throw std::invalid_argument("the record is " + std::string(to_string(entry.error())));
    }
    value = std::make_shared<const cache::Entry>(std::move(*entry));
  }
  static void read(const json& from, Page::Record& value) {
    value.domain = from.at(0).get<std::string>();
    value.bytes = from_base64(from.at(1).get_ref<const std::string&>());
  }
  static void read(const json& from, std::optional<DomainName>& value) {
    value = from.is_null() ? std::nullopt : DomainName::parse(from.get_ref<const std::string&>());
  }
  template <typename T>
  static void read(const json& from, std::optional<T>& value) {
    if (!from.is_null()) {
      read(from, value.emplace());
    }
  }
  template <typename T>
  static void read(const json& from, std::vector<T>& values) {
    for (const json& one : from.get_ref<const json::array_t&>()) {
      read(one, values.emplace_back());
    }
  }

  const json& object_;
};

// --- fields -----------------------------------------------------------------------------------

template <typename IO>
void fields(IO& io, typename IO::template Ref<Status::Connections> it) {
  io("open", it.open);
  io("most", it.most);
  io("accepted", it.accepted);
  io("refused", it.refused);
  io("malformed", it.malformed);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Status::Queries> it) {
  io("total", it.total);
  io("about_domains", it.about_domains);
  io("from_cache", it.from_cache);
  io("hit_rate", it.hit_rate);
  io("enforced", it.enforced);
  io("not_enforced", it.not_enforced);
  io("no_policy", it.no_policy);
  io("no_domain", it.no_domain);
  io("waited", it.waited);
  io("timed_out", it.timed_out);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Status::LookUps> it) {
  io("at_work", it.at_work);
  io("started", it.started);
  io("joined", it.joined);
  io("txt_failures", it.txt_failures);
  io("fetches", it.fetches);
  io("fetch_failures", it.fetch_failures);
  io("refreshes", it.refreshes);
  io("refused", it.refused);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Status::Cache> it) {
  io("directory", it.directory);
  io("writable", it.writable);
  io("entries", it.entries);
  io("policies", it.policies);
  io("without_policy", it.without_policy);
  io("pending", it.pending);
  io("used_bytes", it.used_bytes);
  io("max_bytes", it.max_bytes);
  io("commits", it.commits);
  io("failed_commits", it.failed_commits);
  io("evicted", it.evicted);
  io("not_kept", it.not_kept);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Status::DnsServer> it) {
  io("server", it.server);
  io("answers", it.answers);
  io("errors", it.errors);
  io("last_error", it.last_error);
  io("silent", it.silent);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Status::FailingRefresh> it) {
  io("domain", it.domain);
  io("type", it.type);
  io("detail", it.detail);
  io("failures", it.failures);
  io("expires_at", it.expires_at);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Status::FailingRefreshes> it) {
  io("count", it.count);
  io("first", it.first);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Status> it) {
  io("version", it.version);
  io("pid", it.pid);
  io("started_at", it.started_at);
  io("uptime_s", it.uptime);
  io("config", it.config);
  io("listeners", it.listeners);
  io("threads", it.threads);
  io("connections", it.connections);
  io("queries", it.queries);
  io("look_ups", it.look_ups);
  io("cache", it.cache);
  io("dns", it.dns);
  io("failing_refreshes", it.failing_refreshes);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Shown> it) {
  io("entry", it.entry);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Explained> it) {
  io("key", it.explanation.key);
  io("map", it.explanation.map);
  io("map_known", it.explanation.map_known);
  io("servername", it.explanation.profile.servername);
  io("report_attributes", it.explanation.profile.report_attributes);
  io("enforce_testing", it.explanation.profile.enforce_testing);
  io("domain", it.explanation.domain);
  io("entry", it.explanation.entry);
  io("standing", it.explanation.standing);
  io("reply", it.explanation.reply);
  io("looked_up", it.explanation.looked_up);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Refreshed> it) {
  io("result", it.result);
  io("detail", it.detail);
  io("change", it.change);
  io("entry", it.entry);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Forgotten> it) {
  io("entry", it.entry);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Imported> it) {
  io("result", it.result);
  io("detail", it.detail);
}

template <typename IO>
void fields(IO& io, typename IO::template Ref<Page> it) {
  io("records", it.records);
  io("next", it.next);
}

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

struct ToJson {
  json operator()(const StatusRequest& /*it*/) const { return {{"command", Status::kName}}; }
  json operator()(const ShowRequest& it) const { return about(Shown::kName, it.domain); }
  json operator()(const ExplainRequest& it) const {
    return {{"command", Explained::kName}, {"map", it.map}, {"key", it.key}};
  }
  json operator()(const RefreshRequest& it) const { return about(Refreshed::kName, it.domain); }
  json operator()(const ForgetRequest& it) const { return about(Forgotten::kName, it.domain); }
  json operator()(const ImportRequest& it) const {
    json object = about(Imported::kName, it.domain);
    object["entry"] = entry_to_json(it.entry);
    return object;
  }
  json operator()(const ListRequest& it) const {
    return {{"command", Page::kName}, {"after", it.after}};
  }
  static json about(std::string_view command, const DomainName& domain) {
    return {{"command", command}, {"domain", domain.view()}};
  }
};

template <typename... Answers>
Answer read_answer(std::string_view name, const json& value, std::variant<Answers...>* /*tag*/) {
  std::optional<Answer> answer;
  const auto try_one = [&]<typename One>(One one) {
    if (name == One::kName) {
      Reader::object(value, one);
      answer = std::move(one);
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
        return to_line({{"ok", true}, {"answer", answer.kName}, {"value", Writer::object(answer)}});
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
    return about_domain<RefreshRequest>(object);
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
                         object.at("message").get<std::string>()});
  } catch (const std::exception& error) {
    return failure(
        Error{Error::Problem::Broken, std::string("the reply cannot be read (") + error.what() +
                                          "): use the mtastsctl of the running mtastsd's version"});
  }
}

std::string to_json(const Status& status) {
  json object = Writer::object(status);
  object["running"] = true;
  return to_line(object);
}

}  // namespace mtastsd::control
