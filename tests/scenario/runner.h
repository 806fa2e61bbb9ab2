#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fakes/sender.h"
#include "fakes/temp_dir.h"
#include "scenario/log_capture.h"
#include "scenario/world.h"

namespace mtastsd::test {

// One line of a .scn file with the indented lines below it.
struct Command {
  std::size_t line = 0;
  std::string text;
  std::vector<Command> block;
};

// The commands of a file, or the line that cannot be one.
struct ParsedScenario {
  std::vector<Command> commands;
  std::string error;
};
ParsedScenario parse_scenario(const std::string& file, const std::string& text);

// Runs one scenario on virtual time. README.md in this directory has the commands.
class Runner {
 public:
  Runner(std::string file, LogCapture& log);
  ~Runner();

  // Whether every expectation was met; says on stdout which was not.
  bool run(std::span<const Command> commands);

 private:
  struct Question {
    std::string key;
    SteadyTime asked;
    std::optional<std::string> reply;
    SteadyTime replied;
  };

  void execute(const Command& command);
  void fail(const std::string& expected, const std::string& got);
  void mistake(const std::string& what);

  void query(const std::string& words);
  void query_by_dane(const std::string& words);
  void ask(const std::string& key);
  void ask_map(const std::string& map, const std::string& key);
  void wait_for_reply(const std::string& key);
  void advance(Milliseconds by);
  void let_time_run(const std::string& words);
  void let_time_run_until(const std::string& words);
  void set_clock(const std::string& words);
  void start();
  void damage(const std::string& how);
  void set_option(const std::string& words);
  void repeat(const Command& command);

  void expect(const std::string& words);
  void expect_reply(const std::string& words);
  void expect_number(const std::string& words);
  void expect_cached(const std::string& words);
  void expect_failure(const std::string& words);
  void expect_asked(const std::string& name, bool wanted);
  std::optional<std::int64_t> number_named(const std::string& what, const std::string& argument);

  const std::string file_;
  LogCapture& capture_;
  TempDir directory_;
  FakeLoop loop_;
  ScriptedWorld world_{loop_};
  Log log_;
  Sender sender_;
  const SteadyTime began_;

  std::size_t line_ = 0;
  bool good_ = true;
  std::uint64_t next_question_ = 1;
  std::map<std::uint64_t, Question> questions_;
  Question last_;
};

}  // namespace mtastsd::test
