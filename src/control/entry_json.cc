#include "mtastsd/control/entry_json.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>

#include "json.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/mtasts/txt_record.h"

namespace mtastsd::control {
namespace {

using nlohmann::json;

std::optional<WallTime> parse_time(const json& value) {
  return value.is_string() ? parse_timestamp(value.get_ref<const std::string&>()) : std::nullopt;
}

std::optional<WallTime> read_time(const json& object, const char* name) {
  const auto it = object.find(name);
  return it == object.end() ? std::nullopt : parse_time(*it);
}

std::optional<std::string> read_text(const json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) {
    return std::nullopt;
  }
  return it->get<std::string>();
}

using cache::NoPolicyReason;

constexpr std::array<std::pair<NoPolicyReason, std::string_view>, 4> kReasons = {
    {{NoPolicyReason::NoRecord, "no-record"},
     {NoPolicyReason::UnusableRecord, "unusable-record"},
     {NoPolicyReason::DnsFailed, "dns-failed"},
     {NoPolicyReason::FetchFailed, "fetch-failed"}}};

json reason_json(NoPolicyReason reason) {
  for (const auto& [known, name] : kReasons) {
    if (known == reason) {
      return name;
    }
  }
  return nullptr;
}

NoPolicyReason read_reason(const json& object) {
  const auto text = read_text(object, "no_policy_reason");
  for (const auto& [reason, name] : kReasons) {
    if (text == name) {
      return reason;
    }
  }
  return NoPolicyReason::None;
}

json policy_json(const cache::StoredPolicy& stored) {
  json mx = json::array();
  for (const auto& pattern : stored.policy.mx) {
    mx.push_back(pattern.str());
  }
  return {{"id", stored.id},
          {"mode", mtasts::to_string(stored.policy.mode)},
          {"max_age", stored.policy.max_age.count()},
          {"mx", std::move(mx)},
          {"fetched_at", time_json(stored.fetched_at)},
          {"expires_at", time_json(stored.expires_at())},
          {"text", mtasts::text_of(stored.policy)}};
}

json failure_json(const cache::Failure& failed) {
  return {{"type", cache::to_string(failed.type)},
          {"detail", failed.detail},
          {"id", failed.id},
          {"count", failed.count},
          {"first_at", time_json(failed.first_at)},
          {"retry_at", time_json(failed.retry_at)},
          {"warned_at", time_json(failed.warned_at)}};
}

json dane_json(const std::vector<dane::State>& states) {
  json all = json::array();
  for (const dane::State& state : states) {
    json hosts = json::array();
    for (const dane::Host& host : state.hosts) {
      hosts.push_back({{"name", host.name},
                       {"tlsa", to_string(host.status)},
                       {"known_at", time_json(host.known_at)}});
    }
    all.push_back({{"by_mx", state.target.by_mx},
                   {"port", state.target.port},
                   {"ruling", to_string(state.facts.ruling)},
                   {"mx", to_string(state.mail)},
                   {"hosts", std::move(hosts)},
                   {"known_at", time_json(state.facts.known_at)},
                   {"checked_at", time_json(state.facts.checked_at)},
                   {"renew_at", time_json(state.facts.renew_at)}});
  }
  return all;
}

// The policy that the fields say, where an older version did not keep its text.
std::string text_of_fields(const json& policy) {
  std::string text = "version: STSv1\nmode: " + read_text(policy, "mode").value_or("") + "\n";
  for (const json& pattern : policy.value("mx", json::array())) {
    text += "mx: " + (pattern.is_string() ? pattern.get<std::string>() : "") + "\n";
  }
  const auto max_age = policy.find("max_age");
  return text + "max_age: " + (max_age == policy.end() ? "" : max_age->dump()) + "\n";
}

Result<cache::StoredPolicy, std::string> read_policy(const json& policy) {
  const auto id = read_text(policy, "id");
  const auto text = read_text(policy, "text");
  const auto fetched_at = read_time(policy, "fetched_at");
  if (!id || !text || !fetched_at) {
    return failure(std::string("lacks policy.id, policy.text or policy.fetched_at"));
  }
  // The grammar of an id is the record's, which may hold more than the id.
  const auto record = mtasts::parse_txt_record("v=STSv1; id=" + *id + ";");
  if (!record || record->id != *id) {
    return failure(std::string("has a policy.id that is not one of RFC 8461"));
  }
  if (text->size() > mtasts::kMaxPolicyBytes) {
    return failure(std::string("has a policy.text that is longer than a policy may be"));
  }
  auto parsed = mtasts::parse_policy(text->empty() ? text_of_fields(policy) : *text);
  if (!parsed) {
    return failure("has a policy.text that is not a policy of RFC 8461: " + parsed.error().detail);
  }
  return cache::StoredPolicy{*id, std::move(*parsed), *fetched_at};
}

cache::Failure read_failure(const json& failed) {
  const auto count = failed.find("count");
  cache::Failure read;
  read.id = read_text(failed, "id").value_or("");
  read.type = failure_type_named(read_text(failed, "type").value_or(""));
  read.detail = read_text(failed, "detail").value_or("");
  read.first_at = read_time(failed, "first_at").value_or(WallTime{});
  read.retry_at = read_time(failed, "retry_at").value_or(WallTime{});
  read.warned_at = read_time(failed, "warned_at").value_or(WallTime{});
  if (count != failed.end() && count->is_number_unsigned()) {
    read.count =
        static_cast<std::uint16_t>(std::min<std::uint64_t>(count->get<std::uint64_t>(), 1000));
  }
  return read;
}

}  // namespace

json time_json(WallTime time) {
  return time == WallTime{} ? json(nullptr) : json(timestamp(time));
}

WallTime time_from_json(const json& value) {
  if (value.is_null()) {
    return {};
  }
  if (const auto time = parse_time(value)) {
    return *time;
  }
  throw std::invalid_argument("not a time");
}

cache::FailureType failure_type_named(std::string_view name) {
  using cache::FailureType;
  for (const auto type : {FailureType::PolicyInvalid, FailureType::WebpkiInvalid}) {
    if (name == cache::to_string(type)) {
      return type;
    }
  }
  return FailureType::FetchError;
}

std::string to_line(const json& object) {
  return object.dump(-1, ' ', true, json::error_handler_t::replace);
}

json entry_to_json(const cache::Entry& entry) {
  return {{"policy", entry.policy ? policy_json(*entry.policy) : json(nullptr)},
          {"failure", entry.failure ? failure_json(*entry.failure) : json(nullptr)},
          {"no_policy_reason", reason_json(entry.no_policy_reason)},
          {"no_policy_detail", entry.no_policy_detail},
          {"txt_checked_at", time_json(entry.txt_checked_at)},
          {"recheck_at", time_json(entry.recheck_at)},
          {"refresh_at", entry.policy ? time_json(entry.due_at) : json(nullptr)},
          {"last_used_at", time_json(entry.last_used_at)},
          {"dane", dane_json(entry.dane_states)}};
}

Result<cache::Entry, std::string> entry_from_json(const json& object) {
  if (!object.is_object()) {
    return failure(std::string("is not a JSON object"));
  }
  cache::Entry entry;
  if (const auto it = object.find("policy"); it != object.end() && it->is_object()) {
    auto policy = read_policy(*it);
    if (!policy) {
      return failure(std::move(policy.error()));
    }
    entry.policy = std::move(*policy);
  }
  if (const auto it = object.find("failure"); it != object.end() && it->is_object()) {
    entry.failure = read_failure(*it);
  }
  entry.no_policy_reason = read_reason(object);
  entry.no_policy_detail =
      cut_bytes(read_text(object, "no_policy_detail").value_or(""), cache::kMaxNoPolicyDetail);
  entry.txt_checked_at = read_time(object, "txt_checked_at").value_or(WallTime{});
  entry.recheck_at = read_time(object, "recheck_at").value_or(WallTime{});
  entry.last_used_at = read_time(object, "last_used_at").value_or(WallTime{});
  entry.due_at = read_time(object, "refresh_at").value_or(WallTime{});
  return entry;
}

std::string to_json(std::string_view domain, const cache::Entry& entry) {
  json object = entry_to_json(entry);
  object["domain"] = domain;
  return to_line(object);
}

Result<std::pair<DomainName, cache::Entry>, std::string> entry_from_json(std::string_view line) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) {
    return failure(std::string("is not a JSON object"));
  }
  const auto name = read_text(object, "domain");
  const auto domain = name ? DomainName::parse(*name) : std::nullopt;
  if (!domain) {
    return failure(std::string("has no \"domain\" that is a domain name"));
  }
  auto entry = entry_from_json(object);
  if (!entry) {
    return failure(std::move(entry.error()));
  }
  return std::pair(*domain, std::move(*entry));
}

}  // namespace mtastsd::control
