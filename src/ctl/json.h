#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mtastsd::ctl {

// Text that is JSON already.
struct Json {
  std::string text;
};
inline Json null() {
  return {"null"};
}

struct JsonField {
  std::string_view name;
  std::variant<bool, std::uint64_t, double, std::string, Json> value;
};

// A string, an object or an array in one line of ASCII.
Json json_text(const std::string& text);
Json json_object(std::initializer_list<JsonField> fields);
Json json_array(const std::vector<Json>& values);

}  // namespace mtastsd::ctl
