// Simulated worlds, one a seed. README.md in this directory says what they are for.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include "simulation/simulation.h"

namespace {

using mtastsd::simulation::Outcome;
using mtastsd::simulation::Plan;
using mtastsd::simulation::Simulation;
namespace fs = std::filesystem;

// In memory where there is room for it: thousands of commits a second.
std::string make_directory() {
  const bool memory = fs::is_directory("/dev/shm");
  std::string pattern = (memory ? "/dev/shm" : fs::temp_directory_path().string());
  pattern += "/mtastsd-simulation-XXXXXX";
  return mkdtemp(pattern.data()) != nullptr ? pattern : std::string();
}

bool run(Plan plan, bool quiet) {
  plan.directory = make_directory();
  const auto began = std::chrono::steady_clock::now();
  const Outcome outcome = Simulation(plan).run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::error_code ignored;
  fs::remove_all(plan.directory, ignored);
  const auto& bites = outcome.bites;
  if (!quiet || !outcome.good) {
    const auto domain_days = static_cast<double>(plan.domains) * static_cast<double>(outcome.days);
    std::printf(
        "seed %llu: %zu domains, %lld days in %.1f s (%.0f domain-days a minute)\n"
        "  questions %llu, enforced %llu (%llu in the dark), fresh %llu, without %llu\n"
        "  up to date %llu, refreshed %llu, alarms %llu, set right %llu, fetches %llu\n"
        "  DANE: surveys %llu, applies %llu (%llu in the dark), does not %llu, up to date %llu\n"
        "  kills %llu, clock steps %llu, file %llu KiB\n",
        static_cast<unsigned long long>(plan.seed), plan.domains,
        static_cast<long long>(outcome.days), took.count(), domain_days / took.count() * 60,
        static_cast<unsigned long long>(outcome.questions),
        static_cast<unsigned long long>(bites.enforced),
        static_cast<unsigned long long>(bites.enforced_dark),
        static_cast<unsigned long long>(bites.fresh),
        static_cast<unsigned long long>(bites.without),
        static_cast<unsigned long long>(bites.up_to_date),
        static_cast<unsigned long long>(bites.refreshed),
        static_cast<unsigned long long>(bites.alarms),
        static_cast<unsigned long long>(bites.set_right),
        static_cast<unsigned long long>(bites.fetches),
        static_cast<unsigned long long>(bites.surveys), static_cast<unsigned long long>(bites.dane),
        static_cast<unsigned long long>(bites.dane_dark),
        static_cast<unsigned long long>(bites.no_dane),
        static_cast<unsigned long long>(bites.dane_current),
        static_cast<unsigned long long>(outcome.kills),
        static_cast<unsigned long long>(outcome.clock_steps),
        static_cast<unsigned long long>(outcome.file_bytes / 1024));
  }
  if (!outcome.good) {
    std::printf("%sreplay: mtastsd_simulation --seed %llu --domains %zu --days %d\n",
                outcome.report.c_str(), static_cast<unsigned long long>(plan.seed), plan.domains,
                plan.days);
  }
  std::fflush(stdout);
  return outcome.good;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs the sender in simulated worlds and checks it against RFC 8461");
  Plan plan;
  int seeds = 1;
  bool quiet = false;
  app.add_option("--seed", plan.seed, "The first world's")->capture_default_str();
  app.add_option("--seeds", seeds, "How many worlds, of seeds in a row")->capture_default_str();
  app.add_option("--domains", plan.domains, "In each world")->capture_default_str();
  app.add_option("--days", plan.days, "That each world lasts")->capture_default_str();
  app.add_flag("--log", plan.log, "Show the sender's log");
  app.add_flag("--quiet", quiet, "Speak of failures only");
  CLI11_PARSE(app, argc, argv);
  for (int i = 0; i < seeds; ++i, ++plan.seed) {
    if (!run(plan, quiet)) {
      return 1;
    }
  }
  return 0;
}
