#include "mtastsd/term/pager.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "fakes/temp_dir.h"

namespace mtastsd::term {
namespace {

// Of less, for which the variable is meant, only the environment is looked at.
TEST(Pager, APagerMayRunNoCommands) {
  const mtastsd::test::TempDir dir;
  const std::string file = dir.path() + "/environment";
  ::setenv("PAGER", ("env > " + file).c_str(), 1);
  ::setenv("TERM", "xterm", 1);
  ::unsetenv("LESSSECURE");
  int terminal = -1;
  int ours = -1;
  if (::openpty(&ours, &terminal, nullptr, nullptr, nullptr) != 0) {
    GTEST_SKIP() << "there are no terminals";
  }
  const int kept = ::dup(STDOUT_FILENO);
  ::dup2(terminal, STDOUT_FILENO);
  Pager pager;
  pager.begin();
  pager.end();
  ::dup2(kept, STDOUT_FILENO);
  for (const int fd : {terminal, ours, kept}) {
    ::close(fd);
  }
  std::ifstream environment(file);
  bool secure = false;
  for (std::string line; std::getline(environment, line);) {
    secure = secure || line == "LESSSECURE=1";
  }
  EXPECT_TRUE(secure);
}

}  // namespace
}  // namespace mtastsd::term
