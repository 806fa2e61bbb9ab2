#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "fakes/fake_loop.h"
#include "fakes/sender.h"
#include "simulation/model.h"
#include "simulation/random.h"
#include "simulation/trace.h"
#include "simulation/world.h"

namespace mtastsd::simulation {

struct Plan {
  std::uint64_t seed = 1;
  std::size_t domains = 300;
  int days = 365;
  bool log = false;       // the sender's, to stderr
  std::string directory;  // for the cache; made and emptied by the caller
};

struct Outcome {
  bool good = true;
  std::string report;  // what was violated, and what led to it
  Model::Bites bites;
  std::uint64_t questions = 0;
  std::uint64_t kills = 0;
  std::uint64_t clock_steps = 0;
  std::uint64_t file_bytes = 0;
  std::int64_t days = 0;
};

// One world, the sender in it and the referee beside it, from its first day to its last.
class Simulation {
 public:
  explicit Simulation(const Plan& plan);

  Outcome run();

 private:
  enum class Kind {
    Mail,
    Owner,
    DnsFault,
    WebFault,
    AllFault,
    Disk,
    Restart,
    Kill,
    Clock,
    Audit,
    Dane,
    DaneFault
  };
  struct Event {
    SteadyTime at;
    std::uint64_t order;
    Kind kind;
    std::size_t domain;
    bool operator>(const Event& other) const {
      return std::pair(at, order) > std::pair(other.at, other.order);
    }
  };
  struct Question {
    std::size_t domain;
    SteadyTime asked;
    bool dane = false;  // by a Postfix that does DANE
  };

  void watch();
  void plan_first_events();
  void plan(Milliseconds after, Kind kind, std::size_t domain = kNoDomain);
  void handle(const Event& event);
  void send_mail(std::size_t domain);
  void ask(std::size_t domain);
  void down(bool in_order);
  void change_disk();
  void step_clock();
  void audit();
  void check_bounds();
  void violated(const std::string& what);
  Outcome finish();

  const Plan plan_;
  test::FakeLoop loop_;
  Random random_;
  Random chance_of_sender_;  // its jitter: its own numbers, so that worlds stay comparable
  Random dane_random_;       // of DANE, too
  Trace trace_{loop_};
  World world_;
  Log log_;
  test::Sender sender_;
  Model model_;

  std::vector<Milliseconds> between_mails_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  std::unordered_map<std::uint64_t, Question> questions_;
  std::uint64_t next_question_ = 1;
  Seconds clock_is_off_{0};
  std::string violation_;
  Outcome outcome_;
};

}  // namespace mtastsd::simulation
