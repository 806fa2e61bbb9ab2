#include "verbs.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "mtastsd/base/text.h"
#include "mtastsd/base/version.h"
#include "mtastsd/term/wrapping.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kHelpWidth = 80;

// CLI11's help, wrapped for a terminal of 80 columns.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    return entry(make_option_name(option, is_positional) + make_option_opts(option),
                 make_option_desc(option));
  }
  std::string make_subcommand(const CLI::App* verb) const override {
    return entry(verb->get_name(), verb->get_description());
  }

 private:
  std::string entry(const std::string& name, const std::string& description) const {
    const std::size_t indent = get_column_width();
    const std::string first = "  " + name;
    if (first.size() < indent) {
      return term::wrapped(first, indent, description, kHelpWidth);
    }
    const std::string above = first + '\n';
    return description.empty() ? above : above + term::wrapped("", indent, description, kHelpWidth);
  }
};

}  // namespace

void add_verbs(CLI::App& app, Verb::Run& run) {
  app.formatter(std::make_shared<HelpFormatter>());  // before the verbs, which take it over
  app.set_version_flag("--version", std::string("mtastsctl ") + kVersion, "print the version");
  Verb root(app, run);
  add_query(root);
  add_explain(root);
  add_status(root);
  add_cache(root);
  add_override(root);
  add_trace(root);
  add_observe(root);
  add_warm(root);
  add_check(root);
  add_doctor(root);
  // After the verbs, which would take it over as theirs.
  app.footer(
      "Examples:\n"
      "  mtastsctl query example.com     what Postfix is told about example.com\n"
      "  mtastsctl doctor                mistakes in the Postfix on this machine\n"
      "  mtastsctl cache list --failing  policies that cannot be refreshed\n"
      "  mtastsctl VERB --help           options of a verb, and more examples\n\n"
      "Exit status: 0 good, 1 wrong or not found, 2 could not be determined.");
}

std::optional<std::string> wrong_verb(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  for (const std::string& word : words) {
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* verb : at->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(verb->get_name());
      next = verb->get_name() == word ? verb : next;
    }
    if (names.empty()) {
      return std::nullopt;
    }
    if (word.starts_with('-')) {
      const std::string name = word.substr(0, word.find('='));
      return at->get_option_no_throw(name) != nullptr
                 ? std::nullopt
                 : std::optional(in_quotes(name) + " must come after the verb: mtastsctl VERB " +
                                 printable(name) + " ...");
    }
    if (next == nullptr) {
      const std::string above = at == &app ? "" : " of \"" + at->get_name() + "\"";
      const auto meant = nearest(word, names);
      return in_quotes(word) + " is no verb" + above +
             (meant ? ": did you mean \"" + *meant + "\"?" : ": the verbs are " + joined(names));
    }
    at = next;
  }
  return std::nullopt;
}

}  // namespace mtastsd::ctl
