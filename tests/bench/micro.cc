// Takes the time of each operation of the micro set, by Google Benchmark.

#include <benchmark/benchmark.h>

#include <string>

#include "micro_set.h"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  const bench::MicroSet set;
  for (const bench::MicroCase& each : set.cases()) {
    benchmark::RegisterBenchmark(std::string(each.name).c_str(), [&each](benchmark::State& state) {
      for ([[maybe_unused]] const auto& turn : state) {
        each.once();
      }
    });
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
