// The reference for cold fetches: the same policies over HTTPS with nothing around them. One
// libcurl multi handle on the same event loop, a fixed number of transfers at once, addresses
// given, one CA file and no CA path. No DNS, no parsing, no storing. Prints one line of JSON.

#include <curl/curl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mtastsd/event/loop.h"

namespace {

using mtastsd::Milliseconds;
using mtastsd::event::FdWatch;
using mtastsd::event::Interest;
using mtastsd::event::Loop;
using mtastsd::event::Timer;

struct Options {
  std::string ca_file;
  std::string address = "127.0.0.1";
  unsigned port = 443;
  std::size_t concurrency = 50;
};

class Fetcher {
 public:
  Fetcher(Loop& loop, Options options)
      : loop_(loop),
        options_(std::move(options)),
        timer_(loop.make_timer([this] { act(CURL_SOCKET_TIMEOUT, 0); })),
        multi_(curl_multi_init()) {
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(
        multi_, CURLMOPT_SOCKETFUNCTION,
        +[](CURL*, curl_socket_t fd, int what, void* self, void*) noexcept {
          static_cast<Fetcher*>(self)->socket_changed(fd, what);
          return 0;
        });
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(
        multi_, CURLMOPT_TIMERFUNCTION, +[](CURLM*, long after_ms, void* self) noexcept {
          static_cast<Fetcher*>(self)->timer_changed(after_ms);
          return 0;
        });
    for (std::size_t i = 0; i < options_.concurrency; ++i) {
      slots_.push_back(std::make_unique<Slot>());
      slots_.back()->easy = curl_easy_init();
      set_up(*slots_.back());
    }
  }

  ~Fetcher() {
    for (const auto& slot : slots_) {
      curl_easy_cleanup(slot->easy);
      curl_slist_free_all(slot->resolve);
    }
    curl_multi_cleanup(multi_);
  }

  // Fetches the policy of every domain: how many did not come.
  std::size_t fetch_all(const std::vector<std::string>& domains) {
    todo_ = &domains;
    next_ = finished_ = failed_ = 0;
    for (const auto& slot : slots_) {
      begin(*slot);
    }
    if (!domains.empty()) {
      loop_.run();
    }
    return failed_;
  }

 private:
  struct Slot {
    CURL* easy = nullptr;
    curl_slist* resolve = nullptr;
    std::string host_port;
    std::size_t bytes = 0;
  };

  void set_up(Slot& slot) {
    CURL* easy = slot.easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, &slot);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);  // with one the CA file is parsed every time
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 60000L);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &slot);
    curl_easy_setopt(
        easy, CURLOPT_WRITEFUNCTION, +[](char*, std::size_t, std::size_t size, void* at) noexcept {
          static_cast<Slot*>(at)->bytes += size;
          return size;
        });
  }

  void begin(Slot& slot) {
    if (next_ == todo_->size()) {
      return;
    }
    const std::string host = "mta-sts." + (*todo_)[next_++];
    const std::string port = std::to_string(options_.port);
    // The name before is taken out of curl's list, which would grow with every fetch.
    curl_slist* resolve = nullptr;
    if (!slot.host_port.empty()) {
      resolve = curl_slist_append(resolve, ("-" + slot.host_port).c_str());
    }
    slot.host_port = host + ":" + port;
    resolve = curl_slist_append(resolve, ("+" + slot.host_port + ":" + options_.address).c_str());
    curl_easy_setopt(slot.easy, CURLOPT_RESOLVE, resolve);
    curl_slist_free_all(slot.resolve);
    slot.resolve = resolve;
    slot.bytes = 0;
    const std::string url = "https://" + slot.host_port + "/.well-known/mta-sts.txt";
    curl_easy_setopt(slot.easy, CURLOPT_URL, url.c_str());
    curl_multi_add_handle(multi_, slot.easy);
  }

  void socket_changed(curl_socket_t fd, int what) {
    if (what == CURL_POLL_REMOVE) {
      watches_.erase(fd);
      return;
    }
    const auto interest = static_cast<Interest>(((what & CURL_POLL_IN) != 0 ? 1U : 0U) |
                                                ((what & CURL_POLL_OUT) != 0 ? 2U : 0U));
    auto& watch = watches_[fd];
    if (watch) {
      watch->set(interest);
      return;
    }
    watch = loop_.watch(fd, interest, [this, fd](Interest ready) {
      act(fd,
          (wants_read(ready) ? CURL_CSELECT_IN : 0) | (wants_write(ready) ? CURL_CSELECT_OUT : 0));
    });
  }

  void timer_changed(long after_ms) {
    if (after_ms < 0) {
      timer_->cancel();
    } else {
      timer_->arm(Milliseconds(after_ms));
    }
  }

  void act(curl_socket_t fd, int ready) {
    int running = 0;
    curl_multi_socket_action(multi_, fd, ready, &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      CURL* easy = message->easy_handle;
      const CURLcode code = message->data.result;
      char* at = nullptr;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &at);
      auto& slot = *reinterpret_cast<Slot*>(at);
      if (code != CURLE_OK || slot.bytes == 0) {
        ++failed_;
        std::fprintf(stderr, "%s: %s\n", slot.host_port.c_str(), curl_easy_strerror(code));
      }
      curl_multi_remove_handle(multi_, easy);
      begin(slot);
      if (++finished_ == todo_->size()) {
        loop_.stop();
      }
    }
  }

  Loop& loop_;
  const Options options_;
  std::unique_ptr<Timer> timer_;
  std::map<curl_socket_t, std::unique_ptr<FdWatch>> watches_;
  std::vector<std::unique_ptr<Slot>> slots_;
  const std::vector<std::string>* todo_ = nullptr;
  std::size_t next_ = 0;
  std::size_t finished_ = 0;
  std::size_t failed_ = 0;
  CURLM* multi_;
};

std::vector<std::string> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
  }
  return lines;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Fetches the policies of a list of domains.");
  Options options;
  std::string warm_path;
  std::string domains_path;
  app.add_option("--ca-file", options.ca_file)->required();
  app.add_option("--address", options.address, "where all policy hosts are");
  app.add_option("--port", options.port);
  app.add_option("--concurrency", options.concurrency);
  app.add_option("--warm", warm_path, "domains to fetch first, unmeasured");
  app.add_option("--domains", domains_path, "domains to fetch, one a line")->required();
  CLI11_PARSE(app, argc, argv);

  curl_global_init(CURL_GLOBAL_DEFAULT);
  Loop loop;
  Fetcher fetcher(loop, options);
  const std::vector<std::string> domains = read_lines(domains_path);
  std::size_t failed = fetcher.fetch_all(read_lines(warm_path));
  const double cpu_before = cpu_seconds();
  const auto started = std::chrono::steady_clock::now();
  failed += fetcher.fetch_all(domains);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  std::printf("{\"fetches\": %zu, \"failed\": %zu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
              domains.size(), failed, took.count(), cpu_seconds() - cpu_before);
  return failed == 0 ? 0 : 1;
}
