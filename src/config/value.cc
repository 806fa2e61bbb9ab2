#include "value.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <system_error>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/overrides/override.h"

namespace mtastsd::config {
namespace {

std::string range_error(const std::string& min, const std::string& max, std::string_view why = {}) {
  return "must be between " + min + " and " + max + (why.empty() ? "" : ", " + std::string(why));
}

// "a, b" as "a" and "b". White space alone is an empty list.
std::vector<std::string> items_in(std::string_view text) {
  std::vector<std::string> items;
  if (text.find_first_not_of(' ') == std::string_view::npos) {
    return items;
  }
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    item.remove_prefix(std::min(item.find_first_not_of(' '), item.size()));
    item = item.substr(0, item.find_last_not_of(' ') + 1);
    items.emplace_back(item);
    if (comma == std::string_view::npos) {
      return items;
    }
    text.remove_prefix(comma + 1);
  }
}

// What was read, if it is in the range.
template <typename T>
Result<T, std::string> in_range(Result<T, std::string> value, T min, T max,
                                std::string (*format)(T), std::string_view why = {}) {
  if (value && (*value < min || *value > max)) {
    return failure(range_error(format(min), format(max), why));
  }
  return value;
}

}  // namespace

void Errors::add(std::size_t line, std::string sentence) {
  errors_.push_back({line, std::move(sentence)});
}

std::string Errors::joined(const std::string& name) const {
  std::vector<Error> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Error& a, const Error& b) { return a.line < b.line; });
  return mtastsd::joined(sorted, "\n", [&](const Error& error) {
    const std::string place =
        error.line == 0 ? std::string() : name + ":" + std::to_string(error.line) + ": ";
    return place + error.sentence;
  });
}

// Shows the value if its text is certain. That of a float is not: 3.10 would be shown as 3.1.
std::string Value::shown() const {
  if (const auto* text = node_.as_string()) {
    return " = " + in_quotes(text->get());
  }
  if (const auto* number = node_.as_integer()) {
    return " = " + std::to_string(number->get());
  }
  if (const auto* flag = node_.as_boolean()) {
    return flag->get() ? " = true" : " = false";
  }
  return "";
}

std::optional<bool> Value::as_flag() const {
  if (plain_ != nullptr && (*plain_ == "true" || *plain_ == "false")) {
    return *plain_ == "true";
  }
  return node_.value_exact<bool>();
}

void Value::flag(bool& target) {
  if (const auto value = as_flag()) {
    target = *value;
  } else {
    wrong("must be true or false, without quotes");
  }
}

void Value::read_node(const toml::node& node, std::string_view example, bool secret,
                      const ReadText& read) {
  const std::size_t line = node.source().begin.line;
  if (const auto* text = node.as_string()) {
    read_text(text->get(), line, secret, read);
    return;
  }
  errors_.add(line, name_ + (&node == &node_ ? shown() : "") +
                        ": must be text in quotes, for example " + in_quotes(example));
}

void Value::read_text(const std::string& text, std::size_t line, bool secret,
                      const ReadText& read) {
  const bool controls = std::any_of(text.begin(), text.end(), is_control);
  const Check good =
      controls ? failure(std::string("must not contain control characters")) : read(text);
  if (!good) {
    errors_.add(line, name_ + (secret ? "" : " = " + in_quotes(text)) + ": " + good.error());
  }
}

void Value::text_with(std::string_view example, const ReadText& read) {
  read_node(node_, example, false, read);
}

void Value::secret_with(std::string_view example, const ReadText& read) {
  read_node(node_, example, true, read);
}

void Value::items_with(std::string_view example, const ReadText& read) {
  if (plain_ != nullptr) {
    for (const std::string& item : items_in(*plain_)) {
      read_text(item, line_, false, read);
    }
    return;
  }
  const auto* items = node_.as_array();
  if (items == nullptr) {
    read_node(node_, example, false, read);
    return;
  }
  for (const toml::node& item : *items) {
    read_node(item, example, false, read);
  }
}

void Value::pairs_with(std::string_view example, const ReadPair& read) {
  if (plain_ != nullptr) {
    for (const std::string& item : items_in(*plain_)) {
      read_text(item, line_, false, [&](const std::string& text) -> Check {
        const auto equals = text.find('=');
        return equals == std::string::npos
                   ? failure("must be NAME=VALUE, for example NAME=" + std::string(example))
                   : read(text.substr(0, equals), text.substr(equals + 1));
      });
    }
    return;
  }
  const auto* table = node_.as_table();
  if (table == nullptr) {
    wrong("must be a table, for example { \"NAME\" = [" + in_quotes(example) + "] }");
    return;
  }
  for (const auto& [key, node] : *table) {
    const std::string name(key.str());
    Value(node, name_ + "." + in_quotes(name), line_, errors_)
        .items_with(example, [&](const std::string& text) { return read(name, text); });
  }
}

bool Value::is_empty_list() const {
  return plain_ != nullptr ? items_in(*plain_).empty()
                           : node_.is_array() && node_.as_array()->empty();
}

void Value::text(std::string& target) {
  text_with("text", [&](const std::string& text) -> Check {
    target = text;
    return {};
  });
}

void Value::absolute_path(std::string& target, bool may_be_empty) {
  text_with("/etc/file", [&](const std::string& text) -> Check {
    if (!text.starts_with('/') && !(text.empty() && may_be_empty)) {
      return failure(std::string("must be an absolute path"));
    }
    target = text;
    return {};
  });
}

void Value::duration(Milliseconds& target, Milliseconds min, Milliseconds max,
                     std::string_view why) {
  text_with(format_duration(target), [&](const std::string& text) {
    return in_range(parse_duration(text), min, max, format_duration, why)
        .map([&](Milliseconds value) { target = value; });
  });
}

void Value::duration(Seconds& target, Seconds min, Seconds max) {
  text_with(format_duration(target), [&](const std::string& text) {
    return in_range<Milliseconds>(parse_duration(text), min, max, format_duration)
        .and_then([&](Milliseconds value) -> Check {
          if (value % Seconds(1) != Milliseconds(0)) {
            return failure(std::string("must be a whole number of seconds"));
          }
          target = std::chrono::duration_cast<Seconds>(value);
          return {};
        });
  });
}

void Value::until(std::optional<WallTime>& target) {
  std::ostringstream text;
  if (const auto* date = node_.as_date()) {
    text << date->get();
  } else if (const auto* time = node_.as_date_time()) {
    text << time->get();
  } else if (const auto* quoted = node_.as_string()) {
    text << quoted->get();
  }
  const auto time = overrides::parse_until(text.str());
  if (time) {
    target = *time;
  } else {
    wrong(std::string(overrides::kUntilForms));
  }
}

void Value::size(std::size_t& target, std::size_t min, std::size_t max) {
  text_with(format_size(target), [&](const std::string& text) {
    return in_range(parse_size(text), min, max, format_size).map([&](std::size_t value) {
      target = value;
    });
  });
}

std::optional<std::int64_t> Value::as_number() const {
  if (plain_ == nullptr) {
    return node_.value_exact<std::int64_t>();
  }
  std::int64_t number = 0;
  const char* last = plain_->data() + plain_->size();
  const auto [end, error] = std::from_chars(plain_->data(), last, number);
  return error == std::errc() && end == last ? std::optional(number) : std::nullopt;
}

std::optional<std::int64_t> Value::whole_number(std::int64_t min, std::int64_t max) {
  const auto value = as_number();
  if (!value) {
    wrong("must be a whole number, without quotes");
    return std::nullopt;
  }
  if (*value < min || *value > max) {
    wrong(range_error(std::to_string(min), std::to_string(max)));
    return std::nullopt;
  }
  return value;
}

}  // namespace mtastsd::config
