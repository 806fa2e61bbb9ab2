#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace mtastsd::web {

// Text of our own source, which may be markup. Only a literal can become one.
class Markup {
 public:
  consteval Markup(const char* text) : text_(text) {}  // NOLINT: a literal stands for it
  constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

// A page that is being written. What is not Markup is escaped, and so fit for the text of an
// element and for a value in quotes.
class Html {
 public:
  Html& raw(Markup markup) {
    text_ += markup.text();
    return *this;
  }
  // What a terminal or a browser would act on, hide or reorder is shown as \xNN.
  Html& text(std::string_view text);
  // Another page's part.
  Html& part(const Html& html) {
    text_ += html.text_;
    return *this;
  }

  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace mtastsd::web
