#pragma once

#include <toml++/toml.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/text.h"
#include "values.h"

namespace mtastsd::config {

// Collects the errors in a file, so that all of them are reported at once.
class Errors {
 public:
  void add(std::size_t line, std::string sentence);
  bool empty() const { return errors_.empty(); }
  // Returns one line "NAME:LINE: sentence" for each error, in the order of the lines. The errors of
  // line 0 are in no line of the file and begin with their sentence.
  std::string joined(const std::string& name) const;

 private:
  struct Error {
    std::size_t line;
    std::string sentence;
  };
  std::vector<Error> errors_;
};

// The value of one key. Each call checks it against one type; it stores a valid value in the
// target, and otherwise adds an error and leaves the target unchanged.
class Value {
 public:
  // Of a key in the file.
  Value(const toml::node& node, std::string name, std::size_t line, Errors& errors)
      : node_(node), name_(std::move(name)), line_(line), errors_(errors) {}
  // Of an environment variable: text without types, in which commas separate the items of a list.
  Value(const toml::value<std::string>& text, std::string name, Errors& errors)
      : node_(text), name_(std::move(name)), plain_(&text.get()), line_(0), errors_(errors) {}

  void flag(bool& target);
  void text(std::string& target);
  void absolute_path(std::string& target, bool may_be_empty);
  // `why` is the end of the sentence about the range.
  void duration(Milliseconds& target, Milliseconds min, Milliseconds max,
                std::string_view why = {});
  void duration(Seconds& target, Seconds min, Seconds max);
  // A date or a time of TOML, or the same as text; a date means its end.
  void until(std::optional<WallTime>& target);
  void size(std::size_t& target, std::size_t min, std::size_t max);
  template <std::integral T>
  void number(T& target, std::int64_t min, std::int64_t max) {
    if (const auto value = whole_number(min, max)) {
      target = static_cast<T>(*value);
    }
  }

  // Text that `read` reads, or says what is wrong with it.
  using ReadText = std::function<Check(const std::string&)>;
  void text_with(std::string_view example, const ReadText& read);
  // The same for each item of an array of texts. A single text counts as an array of one.
  void items_with(std::string_view example, const ReadText& read);
  // A table of such arrays by name. In a variable each item is "NAME=TEXT".
  using ReadPair = std::function<Check(const std::string& name, const std::string& text)>;
  void pairs_with(std::string_view example, const ReadPair& read);
  // True if the value is an array without items.
  bool is_empty_list() const;
  void wrong(const std::string& what) { errors_.add(line_, name_ + shown() + ": " + what); }
  // For text that messages must not contain.
  void secret_with(std::string_view example, const ReadText& read);
  template <typename T>
  void one_of(T& target, const std::vector<std::pair<std::string, T>>& choices) {
    text_with(choices.front().first, [&](const std::string& text) -> Check {
      for (const auto& [name, value] : choices) {
        if (text == name) {
          target = value;
          return {};
        }
      }
      return failure("must be one of " + joined(choices, ", ", [](const auto& choice) {
                       return in_quotes(choice.first);
                     }));
    });
  }

 private:
  void read_node(const toml::node& node, std::string_view example, bool secret,
                 const ReadText& read);
  void read_text(const std::string& text, std::size_t line, bool secret, const ReadText& read);
  std::optional<std::int64_t> whole_number(std::int64_t min, std::int64_t max);
  std::optional<std::int64_t> as_number() const;
  std::optional<bool> as_flag() const;
  std::string shown() const;

  const toml::node& node_;
  std::string name_;                    // "resolver.answer_timeout", or the variable
  const std::string* plain_ = nullptr;  // the text of a variable
  std::size_t line_;
  Errors& errors_;
};

}  // namespace mtastsd::config
