#include "mtastsd/https/response_rules.h"

#include <algorithm>
#include <utility>

#include "mtastsd/base/ascii.h"

namespace mtastsd::https {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// RFC 9112 section 6.3: a list of equal lengths counts as one, anything else is an error. An
// error too is what two readers could read differently ("+5").
bool lengths_agree(const std::vector<std::string>& values) {
  std::string_view first;
  for (const std::string_view value : values) {
    for (std::size_t at = 0; at <= value.size();) {
      const std::size_t comma = std::min(value.find(',', at), value.size());
      const std::string_view length = trimmed(value.substr(at, comma - at));
      if (length.empty() || !std::all_of(length.begin(), length.end(), is_digit)) return false;
      if (first.empty()) first = length;
      if (length != first) return false;
      at = comma + 1;
    }
  }
  return true;
}

}  // namespace

std::optional<int> parse_status_line(std::string_view line) {
  line = line.substr(0, line.find_last_not_of("\r\n") + 1);
  if (!line.starts_with("HTTP/")) return std::nullopt;
  line.remove_prefix(5);
  const std::string_view version = line.substr(0, line.find(' '));
  if (version != "1.0" && version != "1.1") return std::nullopt;
  line.remove_prefix(version.size());
  // RFC 9112 section 4: three digits; the reason after them means nothing.
  if (line.size() < 4 || line[0] != ' ' || line[1] < '1' || !is_digit(line[1]) ||
      !is_digit(line[2]) || !is_digit(line[3]) || (line.size() > 4 && line[4] != ' ')) {
    return std::nullopt;
  }
  return (line[1] - '0') * 100 + (line[2] - '0') * 10 + (line[3] - '0');
}

bool is_text_plain(std::string_view content_type) {
  // RFC 8461 section 3.2: parameters are of no interest; the policy grammar decides about the
  // bytes of the body.
  return equal_ignoring_case(trimmed(content_type.substr(0, content_type.find(';'))), "text/plain");
}

ResponseHead::State ResponseHead::refuse(ErrorKind kind, std::string detail) {
  error_ = Error{kind, std::move(detail)};
  return state_ = State::Refused;
}

ResponseHead::State ResponseHead::add_line(std::string_view line) {
  if (state_ == State::Refused) return state_;
  bytes_ += line.size();
  if (bytes_ > kMaxHeaderBytes) {
    return refuse(ErrorKind::TooLarge,
                  "more than " + std::to_string(kMaxHeaderBytes) + " bytes of headers");
  }
  if (state_ == State::Complete) return state_;  // a trailer field
  if (status_ == 0) return begin(line);
  if (trimmed(line).empty()) return end();
  if (line.front() == ' ' || line.front() == '\t') {
    // RFC 9112 section 5.2: a folded line stands for a space and its text.
    if (last_value_ != nullptr) last_value_->append(" ").append(trimmed(line));
    return state_;
  }
  const std::size_t colon = std::min(line.find(':'), line.size());
  last_value_ =
      remember(line.substr(0, colon), trimmed(line.substr(std::min(colon + 1, line.size()))));
  return state_;
}

ResponseHead::State ResponseHead::begin(std::string_view line) {
  const auto status = parse_status_line(line);
  if (!status) return refuse(ErrorKind::Protocol, "not an HTTP/1 response");
  status_ = *status;
  return state_;
}

std::string* ResponseHead::remember(std::string_view name, std::string_view value) {
  const auto add = [value](std::vector<std::string>& values) {
    return &values.emplace_back(value);
  };
  if (equal_ignoring_case(name, "Content-Type")) return add(content_types_);
  if (equal_ignoring_case(name, "Content-Length")) return add(content_lengths_);
  if (equal_ignoring_case(name, "Content-Encoding")) return add(content_codings_);
  if (equal_ignoring_case(name, "Transfer-Encoding")) return add(transfer_codings_);
  if (equal_ignoring_case(name, "Location")) location_ = value;
  return nullptr;
}

ResponseHead::State ResponseHead::end() {
  last_value_ = nullptr;
  if (status_ < 200 && status_ != 101) {  // RFC 9110 section 15.2: the final response follows
    status_ = 0;
    content_types_.clear();
    content_lengths_.clear();
    content_codings_.clear();
    transfer_codings_.clear();
    location_.clear();
    return state_;
  }
  // RFC 8461 section 3.3: only 200 counts, and redirects must not be followed.
  if (status_ != 200) {
    return refuse(ErrorKind::Status, "status " + std::to_string(status_) +
                                         (location_.empty() ? "" : ", a redirect to " + location_));
  }
  if (!lengths_agree(content_lengths_)) {
    return refuse(ErrorKind::Protocol, "contradictory or bad Content-Length");
  }
  // RFC 8461 section 3.3: the media type keeps out hosts that let others store pictures or
  // web pages.
  if (content_types_.empty()) return refuse(ErrorKind::MediaType, "no media type");
  for (const auto& type : content_types_) {
    if (!is_text_plain(type)) return refuse(ErrorKind::MediaType, "media type " + type);
  }
  for (const auto& coding : content_codings_) {
    if (!coding.empty() && !equal_ignoring_case(coding, "identity")) {
      return refuse(ErrorKind::Protocol, "content coding " + coding + ", which was not asked for");
    }
  }
  // RFC 9112 section 7: no other coding was asked for (section 10.1.4 of RFC 9110).
  if (transfer_codings_.size() > 1 ||
      (transfer_codings_.size() == 1 &&
       !equal_ignoring_case(transfer_codings_.front(), "chunked"))) {
    return refuse(ErrorKind::Protocol, "transfer coding " + transfer_codings_.front());
  }
  return state_ = State::Complete;
}

// RFC 9112 section 6.3.
bool ResponseHead::body_ends_with_connection() const {
  return transfer_codings_.empty() && content_lengths_.empty();
}

std::string_view result_type(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Certificate:
      return "sts-webpki-invalid";
    case ErrorKind::Connect:
    case ErrorKind::Timeout:
    case ErrorKind::Tls:
    case ErrorKind::Status:
    case ErrorKind::MediaType:
    case ErrorKind::TooLarge:
    case ErrorKind::Protocol:
      return "sts-policy-fetch-error";
  }
  return "sts-policy-fetch-error";
}

}  // namespace mtastsd::https
