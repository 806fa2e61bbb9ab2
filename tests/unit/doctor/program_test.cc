#include "program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mtastsd::doctor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Program shell(const std::string& script, milliseconds limit = milliseconds(20000)) {
  return {{"/bin/sh", "-c", script}, "", limit};
}

TEST(RunProgram, KeepsBothOutputsAndTheStatus) {
  const auto ended = run_program(shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(ended) << ended.error();
  EXPECT_EQ(ended->output, "out\n");
  EXPECT_EQ(ended->errors, "err\n");
  EXPECT_EQ(ended->status, 3);
}

TEST(RunProgram, GivesWordsWithoutAShell) {
  const auto ended = run_program({{"printf", "%s|", "a b", "$HOME;", ""}, ""});
  ASSERT_TRUE(ended) << ended.error();
  EXPECT_EQ(ended->output, "a b|$HOME;||");
}

TEST(RunProgram, RunsInTheDirectoryWithEmptyStdin) {
  const auto ended = run_program({{"/bin/sh", "-c", "pwd; cat"}, "/"});
  ASSERT_TRUE(ended) << ended.error();
  EXPECT_EQ(ended->output, "/\n");
}

TEST(RunProgram, EndsWhatTakesTooLong) {
  const auto begin = steady_clock::now();
  const auto ended = run_program(shell("sleep 600 & sleep 600", milliseconds(200)));
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error(), testing::HasSubstr("in time"));
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(RunProgram, EndsWhatClosesItsOutputsAndStays) {
  const auto ended = run_program(shell("exec >&- 2>&-; sleep 600", milliseconds(200)));
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error(), testing::HasSubstr("in time"));
}

TEST(RunProgram, RefusesOutputWithoutEnd) {
  const auto ended = run_program(shell("yes"));
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error(), testing::HasSubstr("wrote more"));
}

TEST(RunProgram, SaysWhatIsNotThere) {
  const auto ended = run_program({{"no-such-program"}, ""});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), "no-such-program was not found");
  EXPECT_FALSE(run_program({{"true"}, "/no/such/directory"}));
}

TEST(RunProgram, SaysThatASignalEndedIt) {
  const auto ended = run_program(shell("kill -9 $$"));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->status, 128 + 9);
}

}  // namespace
}  // namespace mtastsd::doctor
