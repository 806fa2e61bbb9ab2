#include "mtastsd/control/override_json.h"

#include <stdexcept>

#include "json.h"

namespace mtastsd::control {
namespace {

using nlohmann::json;
using overrides::Override;

// The value of an optional, or an exception that names the field.
template <typename T>
T need(std::optional<T> value, const char* field) {
  if (!value) {
    throw std::invalid_argument(std::string("has a wrong \"") + field + "\"");
  }
  return *std::move(value);
}

}  // namespace

json override_to_json(const Override& one) {
  json mx = json::array();
  for (const mtasts::MxPattern& pattern : one.mx) {
    mx.push_back(pattern.str());
  }
  return {{"name", one.scope.str()},
          {"action", to_string(one.action)},
          {"mx", mx},
          {"reason", one.reason},
          {"until", one.until ? time_json(*one.until) : json(nullptr)},
          {"source", to_string(one.source)},
          {"decided_at", time_json(one.decided_at)},
          {"by", one.by}};
}

Override override_from_json(const json& object) {
  const auto text = [&object](const char* field) {
    return object.at(field).get_ref<const std::string&>();
  };
  Override one{.scope = need(overrides::Scope::parse(text("name")), "name")};
  one.action = need(overrides::action_named(text("action")), "action");
  for (const json& pattern : object.at("mx")) {
    one.mx.push_back(need(mtasts::MxPattern::parse(pattern.get_ref<const std::string&>()), "mx"));
  }
  one.reason = text("reason");
  if (!object.at("until").is_null()) {
    one.until = time_from_json(object.at("until"));
  }
  one.source = need(overrides::source_named(text("source")), "source");
  one.decided_at = time_from_json(object.at("decided_at"));
  one.by = text("by");
  if (const auto good = check(one); !good) {
    throw std::invalid_argument(good.error());
  }
  return one;
}

std::string to_json(const Override& one) {
  return to_line(override_to_json(one));
}

Result<Override, std::string> override_from_json(std::string_view line) {
  try {
    return override_from_json(json::parse(line));
  } catch (const json::exception&) {
    return failure(std::string("is not an override"));
  } catch (const std::invalid_argument& error) {
    return failure(std::string(error.what()));
  }
}

}  // namespace mtastsd::control
