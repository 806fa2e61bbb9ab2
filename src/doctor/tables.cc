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
    tables.push_back(parse_table(word));
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

std::string for_postmap(const Table& table, bool chroot, std::string_view queue_directory) {
  if (!table.socketmap || table.socketmap->kind != Socketmap::Kind::Unix) {
    return table.text;
  }
  return "socketmap:unix:" + real_path(table.socketmap->path, chroot, queue_directory) + ":" +
         table.socketmap->name;
}

}  // namespace mtastsd::doctor
