#include "verb.h"

#include <CLI/CLI.hpp>
#include <utility>

namespace mtastsd::ctl {
namespace {

CLI::Option* with_default(CLI::Option* option, const std::string& value) {
  return value.empty() ? option : option->capture_default_str();
}

}  // namespace

Verb Verb::add(const char* name, const char* help) {
  app_.require_subcommand(1);
  return {*app_.add_subcommand(name, help), chosen_};
}

void Verb::on_chosen(Run run) {
  app_.callback([run = std::move(run), &chosen = chosen_] { chosen = run; });
}

void Verb::flag(const char* name, bool& value, const char* help) {
  app_.add_flag(name, value, help);
}

void Verb::option(const char* name, std::string& value, const char* type, const std::string& help) {
  with_default(app_.add_option(name, value, help)->type_name(type), value);
}

void Verb::number(const char* name, unsigned& value, const char* type, unsigned least,
                  unsigned most, const char* help) {
  CLI::Option* option =
      app_.add_option(name, value, help)->check(CLI::Range(least, most))->type_name(type);
  if (value != 0) {
    option->capture_default_str();
  }
}

void Verb::choice(const char* name, std::string& value, const char* type,
                  const std::vector<std::string>& words, const char* help) {
  with_default(app_.add_option(name, value, help)
                   ->check(CLI::IsMember(words, CLI::ignore_case))
                   ->type_name(type),
               value);
}

void Verb::repeated(const char* name, std::vector<std::string>& values, const char* type,
                    const char* help) {
  app_.add_option(name, values, help)->allow_extra_args(false)->type_name(type);
}

void Verb::argument(const char* name, std::string& value, const char* help, bool required) {
  app_.add_option(name, value, help)->required(required);
}

void Verb::arguments(const char* name, std::vector<std::string>& values, const char* help) {
  app_.add_option(name, values, help)->type_name("");
}

void Verb::keys(const char* name, std::vector<std::string>& values, const char* help,
                bool required) {
  app_.add_option_function<std::string>(
          name, [&values](const std::string& first) { values.insert(values.begin(), first); }, help)
      ->required(required);
  app_.allow_extras();
  app_.parse_complete_callback([&app = app_, &values] {
    const std::vector<std::string> rest = app.remaining();
    values.insert(values.end(), rest.begin(), rest.end());
  });
}

void Verb::footer(const char* text) {
  app_.footer(text);
}

}  // namespace mtastsd::ctl
