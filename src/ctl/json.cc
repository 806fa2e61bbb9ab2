#include "json.h"

#include <nlohmann/json.hpp>

namespace mtastsd::ctl {
namespace {

struct ToText {
  std::string operator()(const Json& value) const { return value.text; }
  template <typename T>
  std::string operator()(const T& value) const {
    return nlohmann::json(value).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }
};

}  // namespace

Json json_text(const std::string& text) {
  return {ToText{}(text)};
}

Json json_object(std::initializer_list<JsonField> fields) {
  std::string text;
  for (const JsonField& field : fields) {
    text += (text.empty() ? "" : ",") + ToText{}(std::string(field.name)) + ":" +
            std::visit(ToText{}, field.value);
  }
  return {"{" + text + "}"};
}

Json json_array(const std::vector<Json>& values) {
  std::string text;
  for (const Json& value : values) {
    text += (text.empty() ? "" : ",") + value.text;
  }
  return {"[" + text + "]"};
}

}  // namespace mtastsd::ctl
