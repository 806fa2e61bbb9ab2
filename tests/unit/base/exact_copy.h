#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>

namespace mtastsd {

// A heap copy of the bytes and of nothing more, so that AddressSanitizer sees a parser that
// reads past the end, which a string's zero byte would hide.
class ExactCopy {
 public:
  explicit ExactCopy(std::string_view text) : bytes_(new char[text.size()]), size_(text.size()) {
    std::copy(text.begin(), text.end(), bytes_.get());
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

}  // namespace mtastsd
