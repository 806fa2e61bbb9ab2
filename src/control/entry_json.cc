#include "mtastsd/control/entry_json.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "mtastsd/mtasts/policy.h"
#include "mtastsd/mtasts/txt_record.h"

namespace mtastsd::control {
namespace {

using nlohmann::json;

// The epoch stands for what did not happen.
json time_json(WallTime time) {
  return time == WallTime{} ? json(nullptr) : json(timestamp(time));
}

std::optional<WallTime> read_time(const json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) {
    return std::nullopt;
  }
  std::tm parts{};
  const char* end =
      strptime(it->get_ref<const std::string&>().c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') {
    return std::nullopt;
  }
  return WallTime(Seconds(timegm(&parts)));
}

std::optional<std::string> read_text(const json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) {
    return std::nullopt;
  }
  return it->get<std::string>();
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
          {"fetched_at", timestamp(stored.fetched_at)},
          {"expires_at", timestamp(stored.expires_at())},
          {"text", stored.text}};
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
    return failure(std::string("policy.id is no id of RFC 8461"));
  }
  if (text->size() > mtasts::kMaxPolicyBytes) {
    return failure(std::string("policy.text is too long"));
  }
  auto parsed = mtasts::parse_policy(*text);
  if (!parsed) {
    return failure("policy.text is no policy of RFC 8461: " + parsed.error().detail);
  }
  return cache::StoredPolicy{*id, std::move(*parsed), *text, *fetched_at};
}

cache::FailureType read_failure_type(const json& failed) {
  using cache::FailureType;
  const auto name = read_text(failed, "type");
  for (const auto type : {FailureType::PolicyInvalid, FailureType::WebpkiInvalid}) {
    if (name == cache::to_string(type)) {
      return type;
    }
  }
  return FailureType::FetchError;
}

cache::Failure read_failure(const json& failed) {
  const auto count = failed.find("count");
  cache::Failure read;
  read.id = read_text(failed, "id").value_or("");
  read.type = read_failure_type(failed);
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

std::string timestamp(WallTime time) {
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm parts{};
  std::array<char, 40> text{};
  if (gmtime_r(&seconds, &parts) == nullptr ||
      std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    return "";
  }
  return text.data();
}

std::string to_line(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

json entry_to_json(std::string_view domain, const cache::Entry& entry) {
  return {{"domain", domain},
          {"policy", entry.policy ? policy_json(*entry.policy) : json(nullptr)},
          {"failure", entry.failure ? failure_json(*entry.failure) : json(nullptr)},
          {"txt_checked_at", time_json(entry.txt_checked_at)},
          {"recheck_at", time_json(entry.recheck_at)},
          {"refresh_at", entry.policy ? time_json(entry.due_at) : json(nullptr)},
          {"last_used_at", time_json(entry.last_used_at)}};
}

Result<std::pair<DomainName, cache::Entry>, std::string> entry_from_json(const json& record) {
  if (!record.is_object()) {
    return failure(std::string("is no JSON object"));
  }
  const auto name = read_text(record, "domain");
  const auto domain = name ? DomainName::parse(*name) : std::nullopt;
  if (!domain) {
    return failure(std::string("has no domain that is a domain name"));
  }
  cache::Entry entry;
  if (const auto it = record.find("policy"); it != record.end() && it->is_object()) {
    auto policy = read_policy(*it);
    if (!policy) {
      return failure(std::move(policy.error()));
    }
    entry.policy = std::move(*policy);
  }
  if (const auto it = record.find("failure"); it != record.end() && it->is_object()) {
    entry.failure = read_failure(*it);
  }
  entry.txt_checked_at = read_time(record, "txt_checked_at").value_or(WallTime{});
  entry.recheck_at = read_time(record, "recheck_at").value_or(WallTime{});
  entry.last_used_at = read_time(record, "last_used_at").value_or(WallTime{});
  entry.due_at = read_time(record, "refresh_at").value_or(WallTime{});
  return std::pair(*domain, std::move(entry));
}

}  // namespace mtastsd::control
