#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace mtastsd::ctl {

// CLI11's help, in lines that a terminal of 80 columns holds.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* verb) const override;

 private:
  std::string entry(const std::string& name, const std::string& description) const;
};

}  // namespace mtastsd::ctl
