// Runs one .scn file: mtastsd_scenario FILE [--log]. The exit status says whether every
// expectation was met; with --log, or when one was not, the service's log is shown.

#include <fstream>
#include <iostream>
#include <sstream>
#include <string_view>

#include "scenario/runner.h"

int main(int argc, char** argv) {
  using namespace mtastsd::test;
  if (argc < 2) {
    std::cout << "usage: " << argv[0] << " FILE [--log]\n";
    return 2;
  }
  const std::string file = argv[1];
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) {
    std::cout << file << ": cannot be read\n";
    return 2;
  }
  const ParsedScenario scenario = parse_scenario(file, text.str());
  if (!scenario.error.empty()) {
    std::cout << scenario.error << "\n";
    return 2;
  }
  LogCapture log;
  bool good = false;
  {
    Runner runner(file, log);
    good = runner.run(scenario.commands);
  }
  if (!good || (argc > 2 && std::string_view(argv[2]) == "--log")) {
    std::cout << log.text();
  }
  return good ? 0 : 1;
}
