// Load generator for socketmap servers: a set of connections driven by one epoll loop, in one of
// three ways.
//   closed  each connection has --pipeline requests in flight (Postfix: one) and sends the next
//           when a reply comes; latency counts from the sending. With --reconnect each request
//           has a connection of its own, and its latency counts from the connecting
//   paced   --rate R: requests fall due by a fixed schedule whether or not earlier ones were
//           answered, and wait for a free connection if there is none; latency counts from the
//           moment a request fell due, so a server that stops does not hide it
//   once    --once: each key is asked once, over all connections; for lookups
// Prints one line of JSON. CPU time is the server's (--pid), all threads, over the same span.
//
// Limits: a request that the socket does not take as a whole ends the run.

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "client.h"
#include "histogram.h"
#include "requests.h"

namespace bench {
namespace {

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kDrainLimit = 5 * kSecond;  // paced: for replies after the last request
constexpr Nanos kOnceLimit = 100 * kSecond;
constexpr int kMaxEvents = 256;

volatile std::sig_atomic_t stop_asked = 0;

struct Options {
  std::string target;
  KeyOptions keys;
  std::string expect;  // what every reply begins with
  std::size_t connections = 50;
  std::size_t pipeline = 1;
  double rate = 0;
  double seconds = 1;
  double warmup = 0.2;
  bool reconnect = false;
  int pid = 0;
};

Nanos now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

// CPU time of a process, all threads that are alive.
Nanos cpu_time(int pid) {
  Nanos total = 0;
  if (pid != 0) {
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      Nanos thread = 0;
      std::ifstream(task.path() / "schedstat") >> thread;
      total += thread;
    }
  }
  return total;
}

class Generator {
 public:
  explicit Generator(const Options& options)
      : options_(options), requests_(options.keys), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (std::size_t i = 0; i < options_.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(options_.target, i));
      watch(connections_.back()->fd(), i);
    }
    answered_.resize(options_.connections);
    if (paced()) {
      interval_ = static_cast<double>(kSecond) / options_.rate;
      timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
      watch(timer_, options_.connections);
    }
  }
  ~Generator() {
    ::close(epoll_);
    if (timer_ >= 0) {
      ::close(timer_);
    }
  }
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  void run() {
    started_ = now();
    measure_from_ =
        started_ + (options_.keys.once ? 0 : static_cast<Nanos>(options_.warmup * kSecond));
    measure_to_ = measure_from_ + static_cast<Nanos>(options_.seconds * kSecond);
    if (options_.keys.once) {
      measure_to_ = started_ + kOnceLimit;
      begin_measuring();
    }
    begin();
    while (!over()) {
      turn();
    }
    end_measuring();
  }

  void print() const {
    const auto micros = [](Nanos time) { return static_cast<double>(time) / 1000.0; };
    const double seconds = static_cast<double>(ended_ - measure_from_) / kSecond;
    const auto answers = static_cast<double>(latency_.count());
    std::printf(
        "{\"answers\": %.0f, \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %.2f, "
        "\"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f, \"late_p99_us\": %.2f, "
        "\"cpu_seconds\": %.6f, \"cpu_us\": %.4f, \"wrong\": %zu, \"unanswered\": %zu, "
        "\"silent\": %zu}\n",
        answers, seconds, answers / seconds, micros(latency_.quantile(0.5)),
        micros(latency_.quantile(0.99)), micros(latency_.quantile(0.999)), micros(latency_.max()),
        micros(late_.quantile(0.99)), static_cast<double>(cpu_) / kSecond,
        answers > 0 ? micros(cpu_) / answers : 0.0, wrong_,
        closed() ? 0 : in_flight_ + backlog_.size(),
        static_cast<std::size_t>(std::count(answered_.begin(), answered_.end(), 0U)));
  }

 private:
  bool paced() const { return options_.rate > 0; }
  bool closed() const { return !paced() && !options_.keys.once; }  // always has requests in flight

  void watch(int fd, std::size_t number) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = number;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
      fail("epoll_ctl");
    }
  }

  void begin() {
    if (paced()) {
      for (const auto& connection : connections_) {
        free_.push_back(connection.get());
      }
      arm_timer(started_);
      return;
    }
    for (const auto& connection : connections_) {
      for (std::size_t i = 0; i < options_.pipeline; ++i) {
        queue_next(*connection, now());
      }
      connection->send_queued();
    }
  }

  void queue_next(Connection& connection, Nanos since) {
    if (options_.keys.once && asked_ == requests_.size()) {
      return;
    }
    ++asked_;
    ++in_flight_;
    connection.queue(requests_.next(), since);
  }

  void turn() {
    epoll_event events[kMaxEvents];
    const int ready = ::epoll_wait(epoll_, events, kMaxEvents, 50);
    for (int i = 0; i < ready; ++i) {
      if (events[i].data.u64 == connections_.size()) {
        on_timer();
      } else {
        on_readable(*connections_[events[i].data.u64]);
      }
    }
    if (!measuring_ && now() >= measure_from_) {
      begin_measuring();
    }
  }

  void on_readable(Connection& connection) {
    Nanos at = 0;
    connection.receive([&](std::string_view text, Nanos since) {
      at = at == 0 ? now() : at;
      --in_flight_;
      wrong_ += text.starts_with(options_.expect) ? 0 : 1;
      // Closed loop: what was answered within the window counts. Paced: what fell due in it.
      if (measuring_ && (paced() ? since : at) >= measure_from_) {
        latency_.record(at - since);
        ++answered_[connection.number()];
      }
      if (!paced()) {
        if (!options_.reconnect) {
          queue_next(connection, at);
        }
      } else if (!backlog_.empty()) {
        send_due(connection, backlog_.front());
        backlog_.pop_front();
      } else {
        free_.push_back(&connection);
      }
    });
    if (options_.reconnect && at != 0) {
      connect_anew(connection.number());
    } else {
      connection.send_queued();
    }
  }

  void connect_anew(std::size_t number) {
    const Nanos since = now();
    connections_[number].reset();
    connections_[number] = std::make_unique<Connection>(options_.target, number);
    watch(connections_[number]->fd(), number);
    queue_next(*connections_[number], since);
    connections_[number]->send_queued();
  }

  void send_due(Connection& connection, Nanos due) {
    queue_next(connection, due);
    connection.send_queued();
  }

  void on_timer() {
    std::uint64_t expirations = 0;
    [[maybe_unused]] const auto got = ::read(timer_, &expirations, sizeof(expirations));
    const Nanos at = now();
    Nanos due = due_time(arrivals_);
    for (; due <= at && due < measure_to_; due = due_time(++arrivals_)) {
      if (measuring_) {
        late_.record(at - due);
      }
      if (free_.empty()) {
        backlog_.push_back(due);
        continue;
      }
      Connection& connection = *free_.front();
      free_.pop_front();
      send_due(connection, due);
    }
    if (due < measure_to_) {
      arm_timer(due);
    }
  }

  Nanos due_time(std::uint64_t arrival) const {
    return started_ + static_cast<Nanos>(interval_ * static_cast<double>(arrival));
  }

  void arm_timer(Nanos at) {
    itimerspec when{};
    when.it_value = {at / kSecond, at % kSecond};
    ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void begin_measuring() {
    measuring_ = true;
    measure_from_ = now();
    if (!options_.keys.once) {
      measure_to_ = measure_from_ + static_cast<Nanos>(options_.seconds * kSecond);
    }
    cpu_ = -cpu_time(options_.pid);
    // Whoever started us may begin what is to go on at the same time.
    std::fputs("measuring\n", stdout);
    std::fflush(stdout);
  }

  void end_measuring() {
    ended_ = std::min(now(), measure_to_);
    cpu_ += cpu_time(options_.pid);
  }

  bool over() {
    const Nanos at = now();
    if (stop_asked != 0) {
      measure_to_ = std::min(measure_to_, at);
    }
    if (options_.keys.once) {
      return latency_.count() == requests_.size() || at >= measure_to_;
    }
    const bool drained = !paced() || (in_flight_ == 0 && backlog_.empty());
    return at >= measure_to_ && (drained || at >= measure_to_ + kDrainLimit);
  }

  const Options options_;
  Requests requests_;
  const int epoll_;
  int timer_ = -1;
  double interval_ = 0;  // between two arrivals, nanoseconds
  std::vector<std::unique_ptr<Connection>> connections_;
  std::deque<Connection*> free_;       // paced: without a request, longest first
  std::deque<Nanos> backlog_;          // paced: fell due, no connection was free
  std::vector<std::size_t> answered_;  // by connection
  std::uint64_t arrivals_ = 0;
  std::size_t asked_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t wrong_ = 0;
  bool measuring_ = false;
  Nanos started_ = 0;
  Nanos measure_from_ = 0;
  Nanos measure_to_ = 0;
  Nanos ended_ = 0;
  Nanos cpu_ = 0;
  Histogram latency_;
  Histogram late_;  // paced: how late we were ourselves
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App app("Asks a socketmap server and prints rate and latency.");
  bench::Options options;
  app.add_option("--target", options.target, "inet:ADDRESS:PORT or unix:PATH")->required();
  app.add_option("--keys", options.keys.keys, "file with one key a line");
  app.add_option("--names", options.keys.names, "instead: so many of bench_seed's policies");
  app.add_option("--map", options.keys.map);
  app.add_option("--expect", options.expect, "what every reply begins with");
  app.add_option("--choice", options.keys.choice)->check(CLI::IsMember({"uniform", "zipf"}));
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 50000));
  app.add_option("--pipeline", options.pipeline)->check(CLI::Range(1, 4096));
  app.add_option("--rate", options.rate, "requests a second; without it, as fast as possible");
  app.add_option("--seconds", options.seconds);
  app.add_option("--warmup", options.warmup, "seconds before the measured span");
  app.add_flag("--once", options.keys.once, "ask each key once");
  app.add_flag("--reconnect", options.reconnect, "closed: a connection of its own for each");
  app.add_option("--pid", options.pid, "process whose CPU time to report");
  CLI11_PARSE(app, argc, argv);

  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  struct sigaction action {};
  action.sa_handler = [](int) { bench::stop_asked = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  try {
    bench::Generator generator(options);
    generator.run();
    generator.print();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_load: %s\n", error.what());
    return 1;
  }
  return 0;
}
