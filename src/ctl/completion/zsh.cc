// zsh: a function a verb, which hands its options to _arguments.
#include "completion/completion.h"
#include "mtastsd/base/text.h"

namespace mtastsd::ctl {
namespace {

// Within single quotes, with a backslash before each of the characters.
std::string escaped(const std::string& text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (special.find(c) != std::string_view::npos) {
      out += '\\';
    }
    out += c;
  }
  return out;
}

std::string action(const ValueSpec& value) {
  switch (value.kind) {
    case ValueSpec::Kind::None:
    case ValueSpec::Kind::Any:
      return " ";
    case ValueSpec::Kind::File:
      return "_files";
    case ValueSpec::Kind::Directory:
      return "_files -/";
    case ValueSpec::Kind::OneOf:
      return "(" + joined(value.words, " ") + ")";
  }
  return "";
}

void append_option(std::string& out, const OptionSpec& option) {
  const bool flag = option.value.kind == ValueSpec::Kind::None;
  for (const std::string& name : option.names) {
    // "=" lets the value of a long option stand behind one, or in the next word.
    const std::string by = flag ? "" : name.starts_with("--") ? "=" : "+";
    out += "    '" + name + by + "[" + escaped(option.description, "[]:\\") + "]";
    if (!flag) {
      out += ":" + escaped(option.value.name, ":\\") + ":" + action(option.value);
    }
    out += "' \\\n";
  }
}

void append_verb(std::string& out, const VerbSpec& spec, const std::string& function) {
  out += function + "() {\n";
  if (!spec.verbs.empty()) {
    out += "  local curcontext=$curcontext state line\n";
  }
  out += "  _arguments -s -S" + std::string(spec.verbs.empty() ? "" : " -C") + " \\\n";
  for (const OptionSpec& option : spec.options) {
    append_option(out, option);
  }
  if (spec.verbs.empty()) {
    if (!spec.positionals.empty()) {
      out += "    '*:argument:" + action(arguments_of(spec)) + "' \\\n";
    }
    out += "    && return\n}\n\n";
    return;
  }
  out += "    '1:verb:->verb' '*::argument:->rest' && return\n  case $state in\n    verb)\n";
  out += "      local -a verbs=(\n";
  for (const VerbSpec& verb : spec.verbs) {
    out += "        '" + verb.name + ":" + escaped(verb.description, ":\\") + "'\n";
  }
  out += "      )\n      _describe verb verbs ;;\n    rest)\n      case $words[1] in\n";
  for (const VerbSpec& verb : spec.verbs) {
    out += "        " + verb.name + ") " + function + "_" + verb.name + " ;;\n";
  }
  out += "      esac ;;\n  esac\n}\n\n";
  for (const VerbSpec& verb : spec.verbs) {
    append_verb(out, verb, function + "_" + verb.name);
  }
}

}  // namespace

std::string zsh_completion(const VerbSpec& table) {
  std::string out = "#compdef mtastsctl\n# made when mtastsctl was built\n\n";
  append_verb(out, table, "_mtastsctl");
  return out + "_mtastsctl \"$@\"\n";
}

}  // namespace mtastsd::ctl
