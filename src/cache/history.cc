#include "mtastsd/cache/history.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace mtastsd::cache {
namespace {

using nlohmann::json;

std::int64_t seconds_of(WallTime time) {
  return time.time_since_epoch().count();
}

WallTime time_of(const json& value) {
  return WallTime(Seconds(value.get<std::int64_t>()));
}

json to_json(const PolicyVersion& version) {
  json mx = json::array();
  for (const mtasts::MxPattern& pattern : version.policy.mx) {
    mx.push_back(pattern.str());
  }
  json object = {{"id", version.id},
                 {"mode", static_cast<int>(version.policy.mode)},
                 {"max_age", version.policy.max_age.count()},
                 {"mx", std::move(mx)},
                 {"first", seconds_of(version.first_at)},
                 {"last", seconds_of(version.last_at)}};
  if (version.mx_left_out > 0) {
    object["mx_left_out"] = version.mx_left_out;
  }
  if (version.failures > 0 && version.last_failure) {
    object["failures"] = version.failures;
    object["failed"] = seconds_of(version.failed_at);
    object["type"] = static_cast<int>(version.last_failure->type);
    object["detail"] = version.last_failure->detail;
  }
  return object;
}

// Throws for what is none.
PolicyVersion version_from(const json& object) {
  PolicyVersion version;
  object.at("id").get_to(version.id);
  version.policy.mode = static_cast<mtasts::Mode>(std::clamp(object.at("mode").get<int>(), 0, 2));
  version.policy.max_age = Seconds(object.at("max_age").get<std::int64_t>());
  for (const json& text : object.at("mx")) {
    if (const auto pattern = mtasts::MxPattern::parse(text.get_ref<const std::string&>())) {
      version.policy.mx.push_back(*pattern);
    }
  }
  version.first_at = time_of(object.at("first"));
  version.last_at = time_of(object.at("last"));
  version.mx_left_out = object.value("mx_left_out", 0U);
  version.failures = object.value("failures", 0U);
  if (version.failures > 0) {
    version.failed_at = time_of(object.at("failed"));
    version.last_failure =
        Failure{.type = static_cast<FailureType>(std::clamp(object.at("type").get<int>(), 1, 3)),
                .detail = object.at("detail").get<std::string>()};
  }
  return version;
}

std::string text_of(const History& history) {
  json all = json::array();
  for (const PolicyVersion& version : history) {
    all.push_back(to_json(version));
  }
  return all.dump(-1, ' ', true, json::error_handler_t::replace);
}

PolicyVersion version_of(const StoredPolicy& stored) {
  PolicyVersion version;
  version.id = stored.id;
  version.policy = stored.policy;
  version.last_at = stored.fetched_at;
  return version;
}

// The version of the policy at the front. True: it was not there.
bool bring_to_front(History& history, const StoredPolicy& stored) {
  if (!history.empty() && is_version_of(history.front(), stored)) {
    return false;
  }
  history.insert(history.begin(), version_of(stored));
  return true;
}

bool has_failed_again(const Entry* before, const Entry& after) {
  return after.failure &&
         (before == nullptr || !before->failure || before->failure->count != after.failure->count);
}

}  // namespace

bool is_version_of(const PolicyVersion& version, const StoredPolicy& stored) {
  const auto& kept = version.policy.mx;
  const auto& mx = stored.policy.mx;
  return version.id == stored.id && version.policy.mode == stored.policy.mode &&
         version.policy.max_age == stored.policy.max_age &&
         kept.size() + version.mx_left_out == mx.size() &&
         std::equal(kept.begin(), kept.end(), mx.begin());
}

bool note_change(History& history, const Entry* before, const Entry& after, std::size_t versions,
                 WallTime now) {
  if (versions == 0 || !after.policy) {
    return false;
  }
  const StoredPolicy* old = before != nullptr && before->policy ? &*before->policy : nullptr;
  const bool replaced = old != nullptr
                            ? old->id != after.policy->id || old->policy != after.policy->policy
                            : !history.empty() && !is_version_of(history.front(), *after.policy);
  const bool failed = has_failed_again(before, after);
  if (!replaced && !failed) {
    return false;
  }
  if (replaced) {
    if (old != nullptr) {
      bring_to_front(history, *old);
      history.front().last_at = old->fetched_at;
    }
    if (bring_to_front(history, *after.policy)) {
      history.front().first_at = after.policy->fetched_at;
    }
  }
  if (failed) {
    bring_to_front(history, *after.policy);
    PolicyVersion& front = history.front();
    const bool counted =
        before != nullptr && before->failure && before->failure->count < after.failure->count;
    front.failures += counted ? after.failure->count - before->failure->count : 1U;
    front.last_failure = Failure{.type = after.failure->type, .detail = after.failure->detail};
    front.failed_at = now;
  }
  if (history.size() > versions) {
    history.resize(versions);
  }
  return true;
}

History complete(History history, const Entry* entry) {
  if (entry != nullptr && entry->policy) {
    bring_to_front(history, *entry->policy);
    history.front().last_at = entry->policy->fetched_at;
  }
  return history;
}

VersionChange change_between(const PolicyVersion& older, const PolicyVersion& newer) {
  const auto& a = older.policy;
  const auto& b = newer.policy;
  const bool same_policy = a == b && older.mx_left_out == newer.mx_left_out;
  return {.drifted = older.id == newer.id && !same_policy,
          .weaker = b.mode < a.mode,
          .mx_changed = older.mx_left_out != newer.mx_left_out ||
                        !std::is_permutation(a.mx.begin(), a.mx.end(), b.mx.begin(), b.mx.end())};
}

std::string encode_history(History history) {
  std::string text = text_of(history);
  while (text.size() > kMaxHistoryBytes && !history.empty()) {
    if (history.size() > 2) {
      history.pop_back();
    } else {
      // Of the larger one: the other may be all that tells what has changed.
      const auto larger = std::max_element(history.begin(), history.end(),
                                           [](const PolicyVersion& a, const PolicyVersion& b) {
                                             return a.policy.mx.size() < b.policy.mx.size();
                                           });
      auto& mx = larger->policy.mx;
      const std::size_t kept = mx.size() / 2;
      larger->mx_left_out += static_cast<std::uint32_t>(mx.size() - kept);
      mx.erase(mx.begin() + static_cast<std::ptrdiff_t>(kept), mx.end());
      if (kept == 0) {
        history.pop_back();
      }
    }
    text = text_of(history);
  }
  return text;
}

History decode_history(std::string_view text) {
  try {
    History history;
    for (const json& one : json::parse(text)) {
      history.push_back(version_from(one));
    }
    return history;
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace mtastsd::cache
