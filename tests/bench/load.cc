// Load generator for socketmap servers: a set of connections driven by one epoll loop, in one of
// three ways.
//   closed  each connection has --pipeline requests in flight (Postfix: one) and sends the next
//           when a reply comes; latency counts from the sending
//   paced   --rate R: requests fall due by a fixed schedule whether or not earlier ones were
//           answered, and wait for a free connection if there is none; latency counts from the
//           moment a request fell due, so a server that stops does not hide it
//   once    --once: each key is asked once, over all connections; for look-ups
// Prints one line of JSON. CPU time is the server's (--pid), all threads, over the same span.
//
// Limits: a request that the socket does not take as a whole ends the run.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "histogram.h"

namespace bench {
namespace {

using Nanos = std::int64_t;
constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kDrainLimit = 5 * kSecond;  // paced: for replies after the last request
constexpr Nanos kOnceLimit = 100 * kSecond;
constexpr std::size_t kChoices = 1 << 16;
constexpr int kMaxEvents = 256;

volatile std::sig_atomic_t stop_asked = 0;

struct Options {
  std::string target;
  std::string keys;
  std::string map = "postfix";
  std::string expect;  // what every reply begins with
  std::string choice = "uniform";
  std::size_t connections = 50;
  std::size_t pipeline = 1;
  double rate = 0;
  double seconds = 1;
  double warmup = 0.2;
  bool once = false;
  int pid = 0;
};

Nanos now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
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

int connect_inet(const std::string& host, unsigned port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &where.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + host);
  }
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
    fail("connect");
  }
  return fd;
}

int connect_unix(const std::string& path) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (path.size() >= sizeof(where.sun_path)) {
    throw std::runtime_error("path too long: " + path);
  }
  path.copy(where.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
    fail("connect " + path);
  }
  return fd;
}

// "inet:ADDRESS:PORT" or "unix:PATH", as in Postfix.
int connect_to(const std::string& target) {
  if (target.starts_with("unix:")) {
    return connect_unix(target.substr(5));
  }
  const auto colon = target.rfind(':');
  if (!target.starts_with("inet:") || colon < 5) {
    throw std::runtime_error("no target: " + target);
  }
  return connect_inet(target.substr(5, colon - 5),
                      static_cast<unsigned>(std::stoul(target.substr(colon + 1))));
}

// The requests, framed, and the order in which they are sent.
class Requests {
 public:
  explicit Requests(const Options& options) {
    std::ifstream file(options.keys);
    for (std::string key; std::getline(file, key);) {
      const std::string payload = options.map + " " + key;
      frames_.push_back(std::to_string(payload.size()) + ":" + payload + ",");
    }
    if (frames_.empty()) {
      throw std::runtime_error("no keys in " + options.keys);
    }
    if (options.once) {
      for (std::size_t i = 0; i < frames_.size(); ++i) {
        order_.push_back(i);
      }
      return;
    }
    std::vector<double> weights;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      weights.push_back(options.choice == "zipf" ? 1.0 / static_cast<double>(i + 1) : 1.0);
    }
    // Drawn beforehand and with a fixed seed: choosing costs nothing later, and all servers
    // get the same requests.
    std::mt19937_64 random(8461);
    std::discrete_distribution<std::size_t> pick(weights.begin(), weights.end());
    for (std::size_t i = 0; i < kChoices; ++i) {
      order_.push_back(pick(random));
    }
  }

  std::size_t size() const { return frames_.size(); }
  const std::string& next() {
    const std::string& frame = frames_[order_[at_]];
    at_ = at_ + 1 == order_.size() ? 0 : at_ + 1;
    return frame;
  }

 private:
  std::vector<std::string> frames_;
  std::vector<std::size_t> order_;
  std::size_t at_ = 0;
};

class Connection {
 public:
  explicit Connection(const std::string& target) : fd_(connect_to(target)) {}
  ~Connection() { ::close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }

  void queue(const std::string& frame, Nanos since) {
    output_ += frame;
    since_.push_back(since);
  }

  void send_queued() {
    if (output_.empty()) {
      return;
    }
    if (::send(fd_, output_.data(), output_.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(output_.size())) {
      fail("send");
    }
    output_.clear();
  }

  // Calls on_reply(text, since) for each reply that has come.
  template <typename OnReply>
  void receive(OnReply on_reply) {
    char buffer[16 * 1024];
    const ssize_t got = ::recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got == 0) {
      throw std::runtime_error("the server closed a connection");
    }
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) {
        return;
      }
      fail("recv");
    }
    std::string_view bytes(buffer, static_cast<std::size_t>(got));
    std::string joined;
    if (!rest_.empty()) {
      joined = std::exchange(rest_, {});
      joined += bytes;
      bytes = joined;
    }
    while (take_reply(bytes, on_reply)) {
    }
    rest_.assign(bytes);
  }

 private:
  template <typename OnReply>
  bool take_reply(std::string_view& bytes, OnReply& on_reply) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), size);
    const auto head = static_cast<std::size_t>(end - bytes.data()) + 1;
    if (error != std::errc() || bytes.size() < head + size + 1) {
      return false;
    }
    if (since_.empty()) {
      throw std::runtime_error("a reply that was not asked for");
    }
    const Nanos since = since_.front();
    since_.pop_front();
    on_reply(bytes.substr(head, size), since);
    bytes.remove_prefix(head + size + 1);
    return true;
  }

  const int fd_;
  std::string output_;
  std::string rest_;
  std::deque<Nanos> since_;  // of the requests in flight, in order
};

class Generator {
 public:
  explicit Generator(const Options& options)
      : options_(options), requests_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (std::size_t i = 0; i < options_.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(options_.target));
      watch(connections_.back()->fd(), i);
    }
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
    measure_from_ = started_ + (options_.once ? 0 : static_cast<Nanos>(options_.warmup * kSecond));
    measure_to_ = measure_from_ + static_cast<Nanos>(options_.seconds * kSecond);
    if (options_.once) {
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
        "\"cpu_seconds\": %.6f, \"cpu_us\": %.4f, \"wrong\": %zu, \"unanswered\": %zu}\n",
        answers, seconds, answers / seconds, micros(latency_.quantile(0.5)),
        micros(latency_.quantile(0.99)), micros(latency_.quantile(0.999)), micros(latency_.max()),
        micros(late_.quantile(0.99)), static_cast<double>(cpu_) / kSecond,
        answers > 0 ? micros(cpu_) / answers : 0.0, wrong_,
        closed() ? 0 : in_flight_ + backlog_.size());
  }

 private:
  bool paced() const { return options_.rate > 0; }
  bool closed() const { return !paced() && !options_.once; }  // always has requests in flight

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
    if (options_.once && asked_ == requests_.size()) {
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
      }
      if (!paced()) {
        queue_next(connection, at);
      } else if (!backlog_.empty()) {
        send_due(connection, backlog_.front());
        backlog_.pop_front();
      } else {
        free_.push_back(&connection);
      }
    });
    connection.send_queued();
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
    if (!options_.once) {
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
    if (options_.once) {
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
  std::deque<Connection*> free_;  // paced: without a request, longest first
  std::deque<Nanos> backlog_;     // paced: fell due, no connection was free
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
  app.add_option("--keys", options.keys, "file with one key a line")->required();
  app.add_option("--map", options.map);
  app.add_option("--expect", options.expect, "what every reply begins with");
  app.add_option("--choice", options.choice)->check(CLI::IsMember({"uniform", "zipf"}));
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 10000));
  app.add_option("--pipeline", options.pipeline)->check(CLI::Range(1, 64));
  app.add_option("--rate", options.rate, "requests a second; without it, as fast as possible");
  app.add_option("--seconds", options.seconds);
  app.add_option("--warmup", options.warmup, "seconds before the measured span");
  app.add_flag("--once", options.once, "ask each key once");
  app.add_option("--pid", options.pid, "process whose CPU time to report");
  CLI11_PARSE(app, argc, argv);

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
