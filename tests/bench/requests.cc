#include "requests.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace bench {
namespace {

constexpr std::size_t kDigits = 8;
constexpr std::string_view kBelow = ".bench.test";

std::string framed(const std::string& payload) {
  return std::to_string(payload.size()) + ":" + payload + ",";
}

}  // namespace

Requests::Requests(const KeyOptions& options)
    : names_(options.names), once_(options.once), zipf_(options.choice == "zipf") {
  std::ifstream file(options.keys);
  for (std::string key; std::getline(file, key);) {
    frames_.push_back(framed(options.map + " " + key));
  }
  if (size() == 0) {
    throw std::runtime_error("no keys in \"" + options.keys + "\"");
  }
  frame_ = framed(options.map + " p" + std::string(kDigits, '0') + std::string(kBelow));
  digits_at_ = frame_.size() - 1 - kBelow.size() - kDigits;
}

const std::string& Requests::next() {
  std::size_t number = choose();
  if (!frames_.empty()) {
    return frames_[number];
  }
  for (std::size_t i = kDigits; i-- > 0; number /= 10) {
    frame_[digits_at_ + i] = static_cast<char>('0' + number % 10);
  }
  return frame_;
}

std::size_t Requests::choose() {
  if (once_) {
    return asked_++ % size();
  }
  // Xorshift (Marsaglia, 2003): choosing is to cost the load generator nothing.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  const double part = static_cast<double>(random_ >> 11) * 0x1p-53;
  const auto count = static_cast<double>(size());
  if (!zipf_) {
    return static_cast<std::size_t>(part * count);
  }
  // The continuous form of Zipf's law with exponent 1. What is asked for most is spread over the
  // whole range, as names are over a table that is in their order.
  const auto rank = static_cast<std::size_t>(std::pow(count, part)) - 1;
  return std::min(rank, size() - 1) * 2654435761U % size();
}

}  // namespace bench
