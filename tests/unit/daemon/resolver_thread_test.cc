// The thread with a real store, and a DNS server that is a socket of the test.
#include "resolver_thread.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>

#include "entries.h"
#include "fakes/temp_dir.h"
#include "mtastsd/log/log.h"
#include "options.h"
#include "sockets.h"

namespace mtastsd::daemon {
namespace {

using testing::HasSubstr;

// Gets questions and answers each with SERVFAIL.
class FailingDns {
 public:
  FailingDns() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    socklen_t size = sizeof(address);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    name_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    const timeval limit{0, 100000};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  ~FailingDns() { close(fd_); }

  const std::string& name() const { return name_; }
  // The next question as it came; empty when there is none for a while.
  std::string serve() const {
    std::array<char, 512> bytes{};
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const ssize_t got =
        recvfrom(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 12) {
      return "";
    }
    const std::string question(bytes.data(), static_cast<std::size_t>(got));
    bytes[2] = static_cast<char>(bytes[2] | 0x80);  // a reply
    bytes[3] = 2;                                   // SERVFAIL
    sendto(fd_, bytes.data(), static_cast<std::size_t>(got), 0,
           reinterpret_cast<const sockaddr*>(&from), size);
    return question;
  }

 private:
  const int fd_;
  std::string name_;
};

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

class ResolverThreadTest : public testing::Test {
 protected:
  ResolverThreadTest() {
    cache::StoreOptions options;
    options.directory = dir_.path();
    store_ = std::move(*cache::LmdbStore::open(options, log_));
    config_.dns.servers = {dns_.name()};
    config_.dns.timeout = Milliseconds(2000);
  }

  // Asks and returns at once; serves the questions that come until there is an answer.
  bool found_out(ResolverThread& thread, const std::string& domain) {
    std::promise<bool> promise;
    auto future = promise.get_future();
    thread.ask(name(domain), std::nullopt, [&promise](const resolver::Answer& answer) {
      promise.set_value(answer.entry != nullptr);
    });
    return future.get();
  }

  const mtastsd::test::TempDir dir_;
  const FailingDns dns_;
  config::Config config_ = config::defaults();
  SystemClock clock_;
  Log log_ = Log::null();
  std::unique_ptr<cache::LmdbStore> store_;
};

TEST_F(ResolverThreadTest, AsksDnsAndRemembersThatItFailed) {
  ResolverThread thread(config_, clock_, *store_, log_);
  EXPECT_EQ(thread.dns_servers(), std::vector<std::string>{dns_.name()});
  thread.start();
  auto answered = std::async(std::launch::async, [&] { return found_out(thread, "a.example"); });
  std::string questions;
  while (answered.wait_for(Milliseconds(0)) != std::future_status::ready) {
    questions += dns_.serve();
  }
  EXPECT_TRUE(answered.get());
  EXPECT_THAT(questions, HasSubstr("_mta-sts"));
  EXPECT_EQ(thread.counters().txt_failures.value(), 1U);
  thread.stop();
  const auto stored = store_->find(name("a.example"));
  ASSERT_TRUE(stored);
  EXPECT_FALSE(stored->policy);
}

TEST_F(ResolverThreadTest, AReloadChangesTheServers) {
  const FailingDns other;
  ResolverThread thread(config_, clock_, *store_, log_);
  thread.start();
  config_.dns.servers = {other.name()};
  thread.reload(config_);
  thread.ask(name("a.example"), std::nullopt, nullptr);
  std::string question;
  for (int i = 0; i < 200 && question.find("_mta-sts") == std::string::npos; ++i) {
    question += other.serve();  // it is asked whether it validates, too
  }
  EXPECT_THAT(question, HasSubstr("_mta-sts"));
}

TEST_F(ResolverThreadTest, AStopDropsWhatWaits) {
  ResolverThread thread(config_, clock_, *store_, log_);
  thread.start();
  thread.ask(name("a.example"), std::nullopt,
             [](const auto&) { ADD_FAILURE() << "the thread has ended"; });
  thread.stop();
  thread.run([](resolver::Resolver&, dns::AresClient&) { ADD_FAILURE(); });
}

// By name: a limit in another's place would be taken for it.
TEST(Options, EachLimitComesFromItsSetting) {
  const auto config = config::parse(
      "[resolver]\nrecheck_min = \"1s\"\nrecheck_max = \"2s\"\nnegative_min = \"3s\"\n"
      "negative_max = \"4s\"\nretry_interval = \"5s\"\nrefresh_interval = \"6s\"\n"
      "idle_after = \"7s\"\nanswer_timeout = \"8s\"\n[https]\ntimeout = \"9s\"\n"
      "allow_local_addresses = true\n",
      "test.toml");
  ASSERT_TRUE(config) << config.error().message;
  const resolver::Options options = resolver_options(*config);
  EXPECT_EQ(options.limits.recheck_min, Seconds(1));
  EXPECT_EQ(options.limits.recheck_max, Seconds(2));
  EXPECT_EQ(options.limits.negative_min, Seconds(3));
  EXPECT_EQ(options.limits.negative_max, Seconds(4));
  EXPECT_EQ(options.limits.retry_interval, Seconds(5));
  EXPECT_EQ(options.limits.refresh_interval, Seconds(6));
  EXPECT_EQ(options.limits.idle_after, Seconds(7));
  EXPECT_EQ(options.fetch_timeout, Seconds(9));
  EXPECT_TRUE(discovery_settings(*config).allow_local_addresses);
  EXPECT_EQ(answer_options(*config).answer_timeout, Seconds(8));
}

}  // namespace
}  // namespace mtastsd::daemon
