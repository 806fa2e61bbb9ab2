#include "option_table.h"

#include <CLI/CLI.hpp>

namespace mtastsd::ctl {
namespace {

std::vector<std::string> words_in_braces(const std::string& type) {
  const std::size_t begin = type.find('{');
  const std::size_t end = type.find('}', begin);
  std::vector<std::string> words;
  if (begin == std::string::npos || end == std::string::npos) {
    return words;
  }
  for (std::string& word : CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',')) {
    words.push_back(std::move(word));
  }
  return words;
}

ValueSpec value_of(const CLI::Option& option) {
  ValueSpec value;
  if (option.get_items_expected_max() == 0) {
    return value;
  }
  const std::string type = option.get_type_name();
  value.words = words_in_braces(type);
  // An argument is named for what it is; an option has its own name beside.
  value.name = option.get_positional() ? option.get_single_name() : type.substr(0, type.find(':'));
  if (!value.words.empty()) {
    value.kind = ValueSpec::Kind::OneOf;
  } else if (value.name == "FILE") {
    value.kind = ValueSpec::Kind::File;
  } else if (value.name == "DIR") {
    value.kind = ValueSpec::Kind::Directory;
  } else {
    value.kind = ValueSpec::Kind::Any;
  }
  return value;
}

}  // namespace

VerbSpec option_table(const CLI::App& app) {
  VerbSpec table{app.get_name(), app.get_description(), {}, {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) {
      continue;
    }
    if (option->get_positional()) {
      table.positionals.push_back(value_of(*option));
      continue;
    }
    OptionSpec spec{{}, option->get_description(), value_of(*option)};
    for (const std::string& name : option->get_lnames()) {
      spec.names.push_back("--" + name);
    }
    for (const std::string& name : option->get_snames()) {
      spec.names.push_back("-" + name);
    }
    table.options.push_back(std::move(spec));
  }
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!verb->get_group().empty()) {
      table.verbs.push_back(option_table(*verb));
    }
  }
  return table;
}

}  // namespace mtastsd::ctl
