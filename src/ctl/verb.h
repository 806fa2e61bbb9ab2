#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// One verb on the command line, and what its options are read into. The only face of CLI11 that
// the verbs see, so that it is compiled in few files. The values outlive the parsing.
class Verb {
 public:
  using Run = std::function<int()>;

  // `chosen` is set to what carries out the verb that was given.
  Verb(CLI::App& app, Run& chosen) : app_(app), chosen_(chosen) {}

  // A verb below this one, which then needs one of them.
  Verb add(const char* name, const char* help);

  // The verb is carried out by `carry_out`, which returns the exit status. Its arguments live as
  // long as the command line.
  template <typename Arguments>
  Arguments& runs(int (*carry_out)(Arguments& arguments)) {
    auto arguments = std::make_shared<Arguments>();
    on_chosen([arguments, carry_out] { return carry_out(*arguments); });
    return *arguments;
  }

  // Options. `name` is "--map", or "-v,--verbose"; `type` names the value in the help: FILE and
  // DIR are paths, which shells complete. The help shows a value that is set as
  // the default.
  void flag(const char* name, bool& value, const char* help);
  void option(const char* name, std::string& value, const char* type, const std::string& help);
  void number(const char* name, unsigned& value, const char* type, unsigned least, unsigned most,
              const char* help);
  void choice(const char* name, std::string& value, const char* type,
              const std::vector<std::string>& words, const char* help);
  // May be given several times.
  void repeated(const char* name, std::vector<std::string>& values, const char* type,
                const char* help);

  // Arguments without a name.
  void argument(const char* name, std::string& value, const char* help, bool required = true);
  void arguments(const char* name, std::vector<std::string>& values, const char* help);
  // Each is taken as it is: CLI11 takes "[relay.example]" for a list elsewhere. An option that is
  // not known is among them too: see names_given().
  void keys(const char* name, std::vector<std::string>& values, const char* help,
            bool required = true);

  // The end of the help.
  void footer(const char* text);

 private:
  void on_chosen(Run run);

  CLI::App& app_;
  Run& chosen_;
};

}  // namespace mtastsd::ctl
