// bash: one function that goes through the words for the verb, and looks both up: what may stand
// behind an option, and what behind a verb.
#include "completion/completion.h"
#include "mtastsd/base/text.h"

namespace mtastsd::ctl {
namespace {

constexpr char kHead[] = R"(# bash completion for mtastsctl, made when mtastsctl was built

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
    case ValueSpec::Kind::OneOf:
      return "words " + joined(value.words, " ");
  }
  return "";
}

}  // namespace

std::string paths_of(const VerbSpec& table, std::string_view separator) {
  std::vector<std::string> paths;
  for_each_verb(table, "",
                [&](const VerbSpec& /*verb*/, const std::string& path) { paths.push_back(path); });
  paths.erase(paths.begin());  // the program itself
  return joined(paths, separator);
}

ValueSpec arguments_of(const VerbSpec& spec) {
  return spec.positionals.empty() ? ValueSpec{} : spec.positionals.back();
}

std::string bash_completion(const VerbSpec& table) {
  std::string values;
  std::string words;
  for_each_verb(table, "", [&](const VerbSpec& spec, const std::string& path) {
    std::vector<std::string> options;
    for (const OptionSpec& option : spec.options) {
      const std::string kind = kind_of(option.value);
      for (const std::string& name : option.names) {
        options.push_back(name);
        values += kind.empty() ? "" : "    " + path + ":" + name + ") kind='" + kind + "' ;;\n";
      }
    }
    const auto name_of = [](const VerbSpec& verb) { return verb.name; };
    words += "    '" + path + "') words='" + joined(spec.verbs, " ", name_of) + "' options='" +
             joined(options, " ") + "' arguments='" + kind_of(arguments_of(spec)) + "' ;;\n";
  });
  return std::string(kHead) + "      " + paths_of(table, "|") + ")\n" + kMiddle +
         "# What the option takes, as in \"/query:--map\"; empty: it is a flag, or no option.\n"
         "_mtastsctl_value() {\n  kind=\n  case \"$1\" in\n" +
         values +
         "  esac\n}\n\n_mtastsctl_words() {\n  words= options= arguments=\n  case \"$1\" in\n" +
         words + "  esac\n}\n\ncomplete -F _mtastsctl mtastsctl\n";
}

}  // namespace mtastsd::ctl
