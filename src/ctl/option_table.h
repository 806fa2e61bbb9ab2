#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// What may stand where a value is expected.
struct ValueSpec {
  enum class Kind { None, Any, File, Directory, OneOf };
  Kind kind = Kind::None;
  std::string name;                // "FILE", "ADDR"
  std::vector<std::string> words;  // OneOf
};

struct OptionSpec {
  std::vector<std::string> names;  // "--json", "-v"
  std::string description;
  ValueSpec value;  // None: a flag
};

struct VerbSpec {
  std::string name;  // of the program at the top
  std::string description;
  std::vector<OptionSpec> options;
  std::vector<ValueSpec> positionals;
  std::vector<VerbSpec> verbs;
};

// The option table without what is hidden. The name tells what a value is: FILE and DIR are paths,
// "{a,b}" in its type (CLI::IsMember) are words.
VerbSpec option_table(const CLI::App& app);

}  // namespace mtastsd::ctl
