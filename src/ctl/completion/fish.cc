// fish: a line an option, each with the verb at which it counts.
#include "completion/completion.h"

namespace mtastsd::ctl {
namespace {

constexpr char kHead[] = R"(# fish completion for mtastsctl, made by "mtastsctl completion fish"

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

std::string words_of(const ValueSpec& value) {
  std::string words;
  for (const std::string& word : value.words) {
    words += (words.empty() ? "" : " ") + word;
  }
  return words;
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
      return " -x -a " + quote(words_of(value));
  }
  return "";
}

void append_paths(std::string& out, const VerbSpec& spec, const std::string& path) {
  for (const VerbSpec& verb : spec.verbs) {
    out += (out.ends_with("case ") ? "" : " ") + path + "/" + verb.name;
    append_paths(out, verb, path + "/" + verb.name);
  }
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
  if (!spec.positionals.empty()) {
    const ValueSpec& value = spec.positionals.back();
    if (value.kind == ValueSpec::Kind::File) {
      out += at + " -F\n";
    }
    if (value.kind == ValueSpec::Kind::OneOf) {
      out += at + " -a " + quote(words_of(value)) + "\n";
    }
  }
  for (const VerbSpec& verb : spec.verbs) {
    append_lines(out, verb, path + "/" + verb.name);
  }
}

}  // namespace

std::string fish_completion(const VerbSpec& table) {
  std::string out = kHead;
  append_paths(out, table, "");
  out +=
      "\n                set verb \"$verb/$word\"\n        end\n    end\n"
      "    test \"$verb\" = \"$argv[1]\"\nend\n\ncomplete -c mtastsctl -f\n";
  append_lines(out, table, "");
  return out;
}

}  // namespace mtastsd::ctl
