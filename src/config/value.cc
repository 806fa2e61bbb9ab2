#include "value.h"

#include <algorithm>
#include <utility>

namespace mtastsd::config {
namespace {

std::string range_error(const std::string& min, const std::string& max, std::string_view why) {
  std::string text = "must be between " + min + " and " + max;
  if (!why.empty()) {
    text += ", " + std::string(why);
  }
  return text;
}

bool has_control_characters(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

void Errors::add(std::size_t line, std::string sentence) {
  errors_.push_back({line, std::move(sentence)});
}

std::string Errors::joined(const std::string& name) const {
  std::vector<Error> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Error& a, const Error& b) { return a.line < b.line; });
  std::string text;
  for (const Error& error : sorted) {
    if (!text.empty()) {
      text += '\n';
    }
    text += name + ":" + std::to_string(error.line) + ": " + error.sentence;
  }
  return text;
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

void Value::flag(bool& target) {
  if (const auto* value = node_.as_boolean()) {
    target = value->get();
  } else {
    wrong("must be true or false, without quotes");
  }
}

void Value::read_text(const toml::node& node, std::string_view example, bool secret,
                      const ReadText& read) {
  const auto* text = node.as_string();
  const std::size_t line = node.source().begin.line;
  if (text == nullptr) {
    errors_.add(line, name_ + (&node == &node_ ? shown() : "") +
                          ": must be text in quotes, for example " + in_quotes(example));
    return;
  }
  const auto problem = has_control_characters(text->get())
                           ? std::optional<std::string>("must not contain control characters")
                           : read(text->get());
  if (problem) {
    errors_.add(line, name_ + (secret ? "" : " = " + in_quotes(text->get())) + ": " + *problem);
  }
}

void Value::text_with(std::string_view example, const ReadText& read) {
  read_text(node_, example, false, read);
}

void Value::secret_with(std::string_view example, const ReadText& read) {
  read_text(node_, example, true, read);
}

void Value::items_with(std::string_view example, const ReadText& read) {
  const auto* items = node_.as_array();
  if (items == nullptr) {
    read_text(node_, example, false, read);
    return;
  }
  for (const toml::node& item : *items) {
    read_text(item, example, false, read);
  }
}

void Value::text(std::string& target) {
  text_with("text", [&](const std::string& text) {
    target = text;
    return std::optional<std::string>();
  });
}

void Value::absolute_path(std::string& target, bool may_be_empty) {
  text_with("/etc/file", [&](const std::string& text) -> std::optional<std::string> {
    if (!text.starts_with('/') && !(text.empty() && may_be_empty)) {
      return "must be an absolute path";
    }
    target = text;
    return std::nullopt;
  });
}

void Value::duration(Milliseconds& target, Milliseconds min, Milliseconds max,
                     std::string_view why) {
  text_with(format_duration(target), [&](const std::string& text) -> std::optional<std::string> {
    const auto value = parse_duration(text);
    if (!value) {
      return value.error();
    }
    if (*value < min || *value > max) {
      return range_error(format_duration(min), format_duration(max), why);
    }
    target = *value;
    return std::nullopt;
  });
}

void Value::duration(Seconds& target, Seconds min, Seconds max) {
  text_with(format_duration(target), [&](const std::string& text) -> std::optional<std::string> {
    const auto value = parse_duration(text);
    if (!value) {
      return value.error();
    }
    if (*value < min || *value > max) {
      return range_error(format_duration(min), format_duration(max), {});
    }
    if (*value % Seconds(1) != Milliseconds(0)) {
      return "must be a whole number of seconds";
    }
    target = std::chrono::duration_cast<Seconds>(*value);
    return std::nullopt;
  });
}

void Value::size(std::size_t& target, std::size_t min, std::size_t max) {
  text_with(format_size(target), [&](const std::string& text) -> std::optional<std::string> {
    const auto value = parse_size(text);
    if (!value) {
      return value.error();
    }
    if (*value < min || *value > max) {
      return range_error(format_size(min), format_size(max), {});
    }
    target = *value;
    return std::nullopt;
  });
}

std::optional<std::int64_t> Value::whole_number(std::int64_t min, std::int64_t max) {
  const auto* value = node_.as_integer();
  if (value == nullptr) {
    wrong("must be a whole number, without quotes");
    return std::nullopt;
  }
  if (value->get() < min || value->get() > max) {
    wrong(range_error(std::to_string(min), std::to_string(max), {}));
    return std::nullopt;
  }
  return value->get();
}

}  // namespace mtastsd::config
