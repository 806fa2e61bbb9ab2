#include "tables.h"

#include <utility>

namespace mtastsd::doctor {
namespace {

constexpr std::string_view kSeparators = ", \t\r\n";
constexpr std::string_view kProxy = "proxy:";

std::vector<std::string> split(std::string_view value) {
  std::vector<std::string> words;
  std::string word;
  int depth = 0;
  for (const char c : value) {
    if (depth == 0 && kSeparators.find(c) != std::string_view::npos) {
      if (!word.empty()) {
        words.push_back(std::exchange(word, {}));
      }
      continue;
    }
    if (c == '{') {
      ++depth;
    }
    if (c == '}' && depth > 0) {
      --depth;
    }
    word += c;
  }
  if (!word.empty()) {
    words.push_back(word);
  }
  return words;
}

// "inet:HOST:PORT:NAME" or "unix:PATH:NAME": the name is what follows the last colon.
std::optional<Socketmap> parse_socketmap(std::string_view text) {
  Socketmap map;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) {
    return std::nullopt;
  }
  map.name = text.substr(colon + 1);
  text = text.substr(0, colon);
  if (text.starts_with("unix:")) {
    map.kind = Socketmap::Kind::Unix;
    map.path = text.substr(5);
    return map.path.empty() ? std::nullopt : std::optional(map);
  }
  if (!text.starts_with("inet:")) {
    return std::nullopt;
  }
  text.remove_prefix(5);
  const std::size_t port = text.rfind(':');
  if (port == std::string_view::npos || port == 0 || port + 1 == text.size()) {
    return std::nullopt;
  }
  map.port = text.substr(port + 1);
  std::string_view host = text.substr(0, port);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  map.host = host;
  return map;
}

bool has_members(std::string_view type) {
  return type == "pipemap" || type == "unionmap" || type == "randmap";
}

Table parse_table(std::string_view word) {
  Table table;
  table.proxied = word.starts_with(kProxy);
  if (table.proxied) {
    word.remove_prefix(kProxy.size());
  }
  table.text = word;
  const std::size_t colon = word.find(':');
  if (colon != std::string_view::npos) {
    table.type = word.substr(0, colon);
  }
  if (table.type == "socketmap") {
    table.socketmap = parse_socketmap(word.substr(colon + 1));
  }
  return table;
}

}  // namespace

std::vector<Table> parse_tables(std::string_view value) {
  std::vector<Table> tables;
  for (const std::string& word : split(value)) {
    Table& table = tables.emplace_back(parse_table(word));
    const std::string_view inside = std::string_view(table.text).substr(table.type.size());
    if (has_members(table.type) && inside.starts_with(":{") && inside.ends_with('}')) {
      for (const std::string& member : split(inside.substr(2, inside.size() - 3))) {
        table.members.push_back(parse_table(member));
      }
    }
  }
  return tables;
}

std::string real_path(std::string_view path, bool chroot, std::string_view queue_directory) {
  const std::string queue(queue_directory);
  if (!path.starts_with('/')) {
    return queue + "/" + std::string(path);
  }
  return chroot ? queue + std::string(path) : std::string(path);
}

}  // namespace mtastsd::doctor
