#include "help.h"

#include "mtastsd/term/wrapping.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kHelpWidth = 80;

}  // namespace

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  return entry(make_option_name(option, is_positional) + make_option_opts(option),
               make_option_desc(option));
}

std::string HelpFormatter::make_subcommand(const CLI::App* verb) const {
  return entry(verb->get_name(), verb->get_description());
}

std::string HelpFormatter::entry(const std::string& name, const std::string& description) const {
  const std::size_t indent = get_column_width();
  std::string first = "  " + name;
  std::string above;
  if (first.size() >= indent) {
    above = first + '\n';
    first.clear();
  }
  first.resize(indent, ' ');
  if (description.empty()) {
    return above.empty() ? first + '\n' : above;
  }
  return above + term::wrapped(first, indent, description, kHelpWidth);
}

}  // namespace mtastsd::ctl
