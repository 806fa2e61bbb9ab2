// fish: a line an option, each with the verb at which it counts.
#include "completion/completion.h"
#include "mtastsd/base/text.h"

namespace mtastsd::ctl {
namespace {

constexpr char kHead[] = R"(# fish completion for mtastsctl, made when mtastsctl was built

# The verb that stands on the command line, as "/cache/list", is the argument.
function __mtastsctl_at
    set -l verb ''
    for word in (commandline -opc)[2..-1]
        switch "$verb/$word"
            case )";

std::string quote(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + "'";
}

// "-x" wants a value and no files, "-r" a value that may be one.
std::string value_flags(const ValueSpec& value) {
  switch (value.kind) {
    case ValueSpec::Kind::None:
      return "";
    case ValueSpec::Kind::Any:
      return " -x";
    case ValueSpec::Kind::File:
      return " -r -F";
    case ValueSpec::Kind::Directory:
      return " -x -a '(__fish_complete_directories)'";
    case ValueSpec::Kind::OneOf:
      return " -x -a " + quote(joined(value.words, " "));
  }
  return "";
}

void append_lines(std::string& out, const VerbSpec& spec, const std::string& path) {
  const std::string at = "complete -c mtastsctl -n \"__mtastsctl_at '" + path + "'\"";
  for (const VerbSpec& verb : spec.verbs) {
    out += at + " -a " + verb.name + " -d " + quote(verb.description) + "\n";
  }
  for (const OptionSpec& option : spec.options) {
    out += at;
    for (const std::string& name : option.names) {
      out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    }
    out += value_flags(option.value) + " -d " + quote(option.description) + "\n";
  }
  const ValueSpec value = arguments_of(spec);
  if (value.kind == ValueSpec::Kind::File) {
    out += at + " -F\n";
  } else if (value.kind == ValueSpec::Kind::OneOf) {
    out += at + " -a " + quote(joined(value.words, " ")) + "\n";
  }
}

}  // namespace

std::string fish_completion(const VerbSpec& table) {
  std::string out = kHead + paths_of(table, " ") +
                    "\n                set verb \"$verb/$word\"\n        end\n    end\n"
                    "    test \"$verb\" = \"$argv[1]\"\nend\n\ncomplete -c mtastsctl -f\n";
  for_each_verb(table, "", [&](const VerbSpec& spec, const std::string& path) {
    append_lines(out, spec, path);
  });
  return out;
}

}  // namespace mtastsd::ctl
