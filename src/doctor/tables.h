#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mtastsd::doctor {

// socketmap:inet:HOST:PORT:NAME or socketmap:unix:PATH:NAME.
struct Socketmap {
  enum class Kind { Inet, Unix };
  Kind kind = Kind::Inet;
  std::string host;  // without brackets
  std::string port;
  std::string path;
  std::string name;
};

// One table of smtp_tls_policy_maps.
struct Table {
  std::string text;  // without "proxy:"
  bool proxied = false;
  std::string type;  // "socketmap", "hash"; lmdb, when only a path was written, is Postfix's say
  std::optional<Socketmap> socketmap;  // nullopt for type "socketmap": it cannot be read
  std::vector<Table> members;          // of a pipemap, unionmap or randmap

  std::string str() const { return (proxied ? "proxy:" : "") + text; }
};

// The tables in a parameter's value; white space and commas separate, but not within braces. Tables
// within a table's members stay text.
std::vector<Table> parse_tables(std::string_view value);

// The file that smtp(8) reaches by a socket's path: relative paths are taken from the queue
// directory, and in the chroot absolute ones are too.
std::string real_path(std::string_view path, bool chroot, std::string_view queue_directory);

}  // namespace mtastsd::doctor
