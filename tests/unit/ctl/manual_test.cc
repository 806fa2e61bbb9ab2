// mtastsctl(1) against the option table: a verb or an option that the page does not name, and an
// option that it names in vain.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "option_table.h"
#include "tests/source_dir.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

std::string page() {
  std::ifstream file(MTASTSD_SOURCE_DIR "/contrib/man/mtastsctl.1.scd");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// What stands below "## cache list"; empty when there is no such heading.
std::string section_of(const std::string& text, const std::string& verb) {
  const std::string heading = "\n## " + verb + "\n";
  const std::size_t begin = text.find(heading);
  if (begin == std::string::npos) {
    return "";
  }
  return text.substr(begin + heading.size(),
                     text.find("\n#", begin + heading.size()) - begin - heading.size() + 1);
}

// The options that have a line of their own, "*-v*, *--verbose*".
std::set<std::string> described(const std::string& section) {
  std::set<std::string> names;
  const std::regex name(R"(\*(--?[a-z-]+)\*)");
  std::istringstream lines(section);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("*-")) {
      continue;
    }
    for (std::sregex_iterator i(line.begin(), line.end(), name), end; i != end; ++i) {
      names.insert((*i)[1]);
    }
  }
  return names;
}

void check_verb(const std::string& text, const VerbSpec& verb, const std::string& path) {
  SCOPED_TRACE("mtastsctl " + path);
  const std::string section = section_of(text, path);
  ASSERT_FALSE(section.empty()) << "mtastsctl(1) has no section of this verb";
  std::set<std::string> options;
  for (const OptionSpec& option : verb.options) {
    for (const std::string& name : option.names) {
      if (name != "--help" && name != "-h") {
        options.insert(name);
      }
    }
  }
  EXPECT_EQ(described(section), options);
  for (const VerbSpec& below : verb.verbs) {
    check_verb(text, below, path + " " + below.name);
  }
}

class OptionTable : public testing::Test {
 protected:
  OptionTable() : app_("", "mtastsctl") { add_verbs(app_, run_); }
  Verb::Run run_;
  CLI::App app_;
};

TEST_F(OptionTable, IsWhatTheManualPageDescribes) {
  const std::string text = page();
  for (const VerbSpec& verb : option_table(app_).verbs) {
    check_verb(text, verb, verb.name);
  }
}

void expect_examples(const CLI::App& app, const std::string& path) {
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (verb->get_group().empty()) {
      continue;
    }
    const std::string name = path + " " + verb->get_name();
    EXPECT_NE(verb->get_footer().find("mtastsctl" + name), std::string::npos) << name;
    expect_examples(*verb, name);
  }
}

TEST_F(OptionTable, EveryVerbTeachesByExample) {
  expect_examples(app_, "");
}

// An option that takes several words at once takes what stands behind it for its own, and CLI11
// takes "[a]" for a list where one may have several values.
void expect_one_word_each(const CLI::App& app, const std::string& path) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      continue;
    }
    EXPECT_FALSE(option->get_allow_extra_args()) << path << " " << option->get_name();
    EXPECT_LE(option->get_type_size_max(), 1) << path << " " << option->get_name();
  }
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    expect_one_word_each(*verb, path + " " + verb->get_name());
  }
}

TEST_F(OptionTable, NoOptionTakesTheArgumentsBehindIt) {
  expect_one_word_each(app_, "mtastsctl");
}

void expect_narrow_help(const CLI::App& app, const std::string& path) {
  std::istringstream lines(app.help(path));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 80U) << path << ": " << line;
  }
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    expect_narrow_help(*verb, path + " " + verb->get_name());
  }
}

TEST_F(OptionTable, HelpFitsATerminalOf80Columns) {
  expect_narrow_help(app_, "mtastsctl");
  EXPECT_NE(app_.help().find("  doctor                      look for mistakes"), std::string::npos);
}

TEST_F(OptionTable, KnowsVerbsOptionsAndWhatTheyTake) {
  const VerbSpec table = option_table(app_);
  const auto named = [](const std::vector<VerbSpec>& verbs, const std::string& name) {
    return *std::find_if(verbs.begin(), verbs.end(),
                         [&](const VerbSpec& verb) { return verb.name == name; });
  };
  const VerbSpec list = named(named(table.verbs, "cache").verbs, "list");
  for (const OptionSpec& option : list.options) {
    if (option.names[0] == "--mode") {
      EXPECT_EQ(option.value.kind, ValueSpec::Kind::OneOf);
      EXPECT_EQ(option.value.words.at(0), "enforce");
    } else if (option.names[0] == "--config") {
      EXPECT_EQ(option.value.kind, ValueSpec::Kind::File);
    } else if (option.names[0] == "--failing") {
      EXPECT_EQ(option.value.kind, ValueSpec::Kind::None);
    }
  }
}

}  // namespace
}  // namespace mtastsd::ctl
