// bash: one function that goes through the words for the verb, and looks both up: what may stand
// behind an option, and what behind a verb.
#include "completion/completion.h"

namespace mtastsd::ctl {
namespace {

constexpr char kHead[] = R"(# bash completion for mtastsctl, made by "mtastsctl completion bash"

_mtastsctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} verb= before= kind= words= i word
  local options= arguments=
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == = ]]; then
      continue
    fi
    _mtastsctl_value "$verb:$before"
    before=
    if [[ -n $kind ]]; then
      continue
    fi
    before=$word
    case "$verb/$word" in
)";

constexpr char kMiddle[] = R"(        verb=$verb/$word ;;
    esac
  done
  if [[ $cur == = ]]; then
    cur=
  fi
  _mtastsctl_value "$verb:$before"
  if [[ -z $kind ]]; then
    _mtastsctl_words "$verb"
    if [[ $cur != -* && -n $words ]]; then
      kind="words $words"
    elif [[ $cur == -* || -z $arguments ]]; then
      kind="words $options"
    else
      kind=$arguments
    fi
  fi
  case "$kind" in
    words\ *) COMPREPLY=($(compgen -W "${kind#words }" -- "$cur")) ;;
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
  esac
}

)";

std::string kind_of(const ValueSpec& value) {
  switch (value.kind) {
    case ValueSpec::Kind::None:
      return "";
    case ValueSpec::Kind::Any:
      return "any";
    case ValueSpec::Kind::File:
      return "file";
    case ValueSpec::Kind::Directory:
      return "directory";
    case ValueSpec::Kind::OneOf: {
      std::string kind = "words";
      for (const std::string& word : value.words) {
        kind += " " + word;
      }
      return kind;
    }
  }
  return "";
}

void append_paths(std::string& out, const VerbSpec& spec, const std::string& path) {
  for (const VerbSpec& verb : spec.verbs) {
    out += (out.empty() ? "" : "|") + path + "/" + verb.name;
    append_paths(out, verb, path + "/" + verb.name);
  }
}

void append_values(std::string& out, const VerbSpec& spec, const std::string& path) {
  for (const OptionSpec& option : spec.options) {
    const std::string kind = kind_of(option.value);
    for (const std::string& name : option.names) {
      if (!kind.empty()) {
        out += "    " + path + ":" + name + ") kind='" + kind + "' ;;\n";
      }
    }
  }
  for (const VerbSpec& verb : spec.verbs) {
    append_values(out, verb, path + "/" + verb.name);
  }
}

void append_words(std::string& out, const VerbSpec& spec, const std::string& path) {
  std::string verbs;
  std::string options;
  for (const VerbSpec& verb : spec.verbs) {
    verbs += (verbs.empty() ? "" : " ") + verb.name;
  }
  for (const OptionSpec& option : spec.options) {
    for (const std::string& name : option.names) {
      options += (options.empty() ? "" : " ") + name;
    }
  }
  const std::string arguments = spec.positionals.empty() ? "" : kind_of(spec.positionals.back());
  out += "    '" + path + "') words='" + verbs + "' options='" + options + "' arguments='" +
         arguments + "' ;;\n";
  for (const VerbSpec& verb : spec.verbs) {
    append_words(out, verb, path + "/" + verb.name);
  }
}

}  // namespace

std::string bash_completion(const VerbSpec& table) {
  std::string paths;
  append_paths(paths, table, "");
  std::string out = kHead + std::string("      ") + paths + ")\n" + kMiddle;
  out += "# What the option takes, as in \"/query:--map\"; empty: it is a flag, or no option.\n";
  out += "_mtastsctl_value() {\n  kind=\n  case \"$1\" in\n";
  append_values(out, table, "");
  out += "  esac\n}\n\n_mtastsctl_words() {\n  words= options= arguments=\n  case \"$1\" in\n";
  append_words(out, table, "");
  return out + "  esac\n}\n\ncomplete -F _mtastsctl mtastsctl\n";
}

}  // namespace mtastsd::ctl
