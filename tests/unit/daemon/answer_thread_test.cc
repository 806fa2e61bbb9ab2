// The thread with a real store, real sockets and a resolver made up here.
#include "answer_thread.h"

#include <gtest/gtest.h>

#include <future>
#include <mutex>

#include "entries.h"
#include "fakes/temp_dir.h"
#include "mtastsd/log/log.h"
#include "mtastsd/socketmap/client.h"
#include "sockets.h"

namespace mtastsd::daemon {
namespace {

constexpr Milliseconds kSoon{100};
constexpr Milliseconds kPatience{20000};

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

class AnswerThreadTest : public testing::Test {
 protected:
  AnswerThreadTest() {
    cache::StoreOptions options;
    options.directory = dir_.path() + "/cache";
    store_ = std::move(*cache::LmdbStore::open(options, log_));
    thread_ = std::make_unique<AnswerThread>(
        config_, clock_, *store_,
        [this](const DomainName& domain, const auto& /*survey*/, resolver::Waiter waiter) {
          asked_.set_value({domain.str(), std::move(waiter)});
        },
        log_, connections_);
    std::vector<PassedSocket> none;
    std::vector<std::unique_ptr<Listener>> listeners;
    EXPECT_TRUE(open_listeners(where_, {}, none, listeners));
    thread_->accept_on(std::move(listeners), [this](int fd) { thread_->add_here(fd); });
    thread_->start(nullptr);
  }

  socketmap::Client client() { return std::move(*socketmap::Client::connect(where_)); }
  std::string ask(const std::string& key) {
    auto one = client();
    EXPECT_TRUE(one.send("postfix", key));
    return one.receive().value_or("nothing");
  }

  struct Asked {
    std::string domain;
    resolver::Waiter waiter;
  };

  const mtastsd::test::TempDir dir_;
  const config::ListenAddress where_ = test::unix_listen(dir_.path() + "/sock");
  config::Config config_ = config::defaults();
  SystemClock clock_;
  Log log_ = Log::null();
  socketmap::ConnectionCount connections_{config_.socketmap.max_connections};
  std::unique_ptr<cache::LmdbStore> store_;
  std::promise<Asked> asked_;  // the first question to the resolver
  std::unique_ptr<AnswerThread> thread_;
};

TEST_F(AnswerThreadTest, AnswersWhatIsStoredWithoutTheResolver) {
  store_->put(name("known.example"), test::policy());
  ASSERT_TRUE(store_->flush(kPatience));
  EXPECT_EQ(ask("known.example"), test::kSecure);
  EXPECT_EQ(ask(".example"), "NOTFOUND ");
  EXPECT_EQ(thread_->counters().queries.value(), 2U);
  EXPECT_EQ(thread_->counters().asked.value(), 0U);
  EXPECT_EQ(thread_->server_counters().connections.value(), 2U);
}

TEST_F(AnswerThreadTest, AsksTheResolverForWhatIsNotStored) {
  auto one = client();
  ASSERT_TRUE(one.send("postfix", "new.example"));
  const Asked asked = asked_.get_future().get();
  EXPECT_EQ(asked.domain, "new.example");
  asked.waiter({});  // too many domains are being looked up
  EXPECT_EQ(one.receive().value_or("nothing"), "NOTFOUND ");
}

TEST_F(AnswerThreadTest, AStopAnswersWhatWaits) {
  auto one = client();
  ASSERT_TRUE(one.send("postfix", "new.example"));
  asked_.get_future().wait();
  thread_->stop_accepting([this] { thread_->begin_stop({kSoon, kSoon, kPatience}); });
  EXPECT_EQ(one.receive().value_or("nothing"), "NOTFOUND ");
  thread_->join();
  EXPECT_EQ(connections_.open(), 0U);
  EXPECT_EQ(test::connect_to(where_.path), -1);
}

TEST_F(AnswerThreadTest, AReloadChangesTheMaps) {
  store_->put(name("trial.example"), test::policy(mtasts::Mode::Testing));
  ASSERT_TRUE(store_->flush(kPatience));
  EXPECT_EQ(ask("trial.example"), "NOTFOUND ");
  config_.maps["postfix"].enforce_testing = true;
  thread_->reload(config_);
  EXPECT_EQ(ask("trial.example"), test::kSecure);
}

}  // namespace
}  // namespace mtastsd::daemon
