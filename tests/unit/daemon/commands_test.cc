// The commands over their socket, with a real store and a resolver that reaches no DNS server.
#include "commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "entries.h"
#include "fakes/temp_dir.h"
#include "mtastsd/control/client.h"
#include "mtastsd/log/log.h"
#include "options.h"
#include "sockets.h"

namespace mtastsd::daemon {
namespace {

using control::Client;
using resolver::Standing;
using testing::HasSubstr;

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

class CommandsTest : public testing::Test {
 protected:
  CommandsTest() {
    config_.dns.servers = {"127.0.0.1:1"};
    config_.dns.timeout = Milliseconds(500);
    config_.control.socket = dir_.path() + "/control";
    cache::StoreOptions options;
    options.directory = dir_.path() + "/cache";
    options.commit = cache::StoreOptions::Commit::WhenAsked;  // what is put waits
    store_ = std::move(*cache::LmdbStore::open(options, log_));
    resolver_ = std::make_unique<ResolverThread>(config_, clock_, *store_, log_);
    overrides_ = std::make_unique<OverrideBook>(loop_, clock_, *store_, log_);
    overrides_->set_publish([this](const overrides::TablePtr& table, event::Callback done) {
      published_ = table;
      if (done) {
        loop_.post(std::move(done));
      }
    });
    DaemonFacts facts;
    facts.status.listeners = {"unix:/there"};
    facts.status.started_at = test::now() - Seconds(10);
    for (int i = 0; i < 3; ++i) {
      connections_.enter(std::nullopt);
    }
    facts.connections = &connections_;
    facts.answering = {&counters_};
    facts.serving = {&serving_};
    facts.resolver = &resolver_->counters();
    tracers_ = std::make_unique<Tracers>(
        loop_, clock_, log_,
        [this](answer::Answerer::Traced traced) { traced_ = std::move(traced); });
    commands_ = std::make_unique<Commands>(
        loop_, clock_, *store_, *overrides_, *tracers_, log_,
        [this](ResolverThread::Work work) { resolver_->run(std::move(work)); },
        answer_options(config_).profiles, std::move(facts));
    std::vector<PassedSocket> none;
    std::vector<std::unique_ptr<Listener>> listeners;
    EXPECT_TRUE(open_listeners(test::unix_listen(config_.control.socket), {}, none, listeners));
    commands_->listen(std::move(listeners.at(0)));
  }
  ~CommandsTest() override {
    resolver_->stop();
    loop_.stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }
  void start() {
    resolver_->start();
    thread_ = std::thread([this] { loop_.run(); });
  }
  template <typename Question>
  typename Question::Answer ask(const Question& question) {
    auto client = Client::connect(config_.control.socket);
    auto answer = client->ask(question);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? std::move(*answer) : typename Question::Answer{};
  }

  const mtastsd::test::TempDir dir_;
  config::Config config_ = config::defaults();
  SystemClock clock_;
  Log log_ = Log::null();
  socketmap::ConnectionCount connections_{10};
  answer::Counters counters_;
  socketmap::ServerCounters serving_;
  event::Loop loop_;
  std::unique_ptr<cache::LmdbStore> store_;
  std::unique_ptr<ResolverThread> resolver_;
  std::unique_ptr<OverrideBook> overrides_;
  answer::Answerer::Traced traced_;
  std::unique_ptr<Tracers> tracers_;
  overrides::TablePtr published_;
  std::unique_ptr<Commands> commands_;
  std::thread thread_;
};

TEST_F(CommandsTest, StatusAddsUpWhatTheThreadsCount) {
  counters_.queries.add();
  counters_.queries.add();
  counters_.no_domain.add();
  serving_.malformed.add();
  serving_.stalled.add();
  serving_.greedy.add();
  start();
  const auto status = ask(control::StatusRequest{});
  EXPECT_EQ(status.queries.total, 2U);
  EXPECT_EQ(status.queries.about_domains, 1U);
  EXPECT_EQ(status.queries.hit_rate, 1.0);
  EXPECT_EQ(status.connections.open, 3U);
  EXPECT_EQ(status.connections.malformed, 1U);
  EXPECT_EQ(status.connections.stalled, 1U);
  EXPECT_EQ(status.connections.greedy, 1U);
  EXPECT_EQ(status.config, std::nullopt);
  EXPECT_GE(status.uptime_s, Seconds(10));
  EXPECT_EQ(status.dns.at(0).server, "127.0.0.1:1");
}

TEST_F(CommandsTest, WhatWaitsForItsCommitIsShownAndExplained) {
  store_->put(name("a.example"), test::policy());
  start();
  ASSERT_TRUE(ask(control::ShowRequest{name("a.example")}).entry);
  EXPECT_FALSE(ask(control::ShowRequest{name("b.example")}).entry);
  const auto it = ask(control::ExplainRequest{"postfix", "[A.example]:25"}).explanation;
  EXPECT_EQ(it.reply, test::kSecure);
  EXPECT_EQ(it.standing, Standing::Enforced);
  EXPECT_FALSE(it.looked_up);
  EXPECT_EQ(ask(control::StatusRequest{}).cache.pending, 1U);
}

TEST_F(CommandsTest, AnExplanationIsNotAQuery) {
  cache::Entry entry = test::policy();
  entry.last_used_at -= Seconds(3 * 86400);
  entry.recheck_at = test::now() - Seconds(1);
  store_->put(name("a.example"), entry);
  start();
  ask(control::ExplainRequest{"postfix", "a.example"});
  const auto status = ask(control::StatusRequest{});
  EXPECT_EQ(status.queries.total, 0U);
  EXPECT_EQ(status.look_ups.started, 0U);
  EXPECT_EQ(ask(control::ShowRequest{name("a.example")}).entry->last_used_at, entry.last_used_at);
}

TEST_F(CommandsTest, AnExplanationOfWhatIsNotKnownIsLookedUp) {
  start();
  const auto it = ask(control::ExplainRequest{"postfix", "a.example"}).explanation;
  EXPECT_TRUE(it.looked_up);
  EXPECT_EQ(it.standing, Standing::NoPolicy);
  EXPECT_EQ(it.reply, "NOTFOUND ");
  EXPECT_EQ(ask(control::StatusRequest{}).look_ups.txt_failures, 1U);
}

TEST_F(CommandsTest, AnOverrideIsPublishedBeforeTheReplyAndCountsFromThenOn) {
  store_->put(name("a.example"), test::policy());
  start();
  const overrides::Override one{.scope = *overrides::Scope::parse("a.example"),
                                .action = overrides::Action::Ignore,
                                .reason = "ticket",
                                .until = test::now() + Seconds(60)};
  const auto all = ask(control::OverrideAddRequest{one}).all;
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].by, "uid " + std::to_string(::getuid()));
  EXPECT_EQ(all[0].source, overrides::Source::CommandLine);
  ASSERT_TRUE(published_);
  EXPECT_NE(published_->find(name("a.example"), test::now()), nullptr);
  const auto it = ask(control::ExplainRequest{"postfix", "a.example"}).explanation;
  EXPECT_EQ(it.reply, "NOTFOUND ");
  EXPECT_EQ(it.standing, Standing::Overridden);
  EXPECT_EQ(it.override_in_force, all[0]);
  EXPECT_TRUE(it.entry);
  const auto status = ask(control::StatusRequest{}).overrides;
  EXPECT_EQ(status.in_force, 1U);
  EXPECT_EQ(status.next_end, one.until);
  EXPECT_EQ(ask(control::OverrideRemoveRequest{one.scope}).removed, all[0]);
  EXPECT_EQ(published_, nullptr);
  EXPECT_TRUE(ask(control::OverridesRequest{}).all.empty());
  EXPECT_EQ(ask(control::OverrideRemoveRequest{one.scope}).removed, std::nullopt);
  EXPECT_EQ(ask(control::ExplainRequest{"postfix", "a.example"}).explanation.reply, test::kSecure);
}

TEST_F(CommandsTest, TheMapsOfAReloadCount) {
  store_->put(name("a.example"), test::policy(mtasts::Mode::Testing));
  config_.maps["postfix"].enforce_testing = true;
  commands_->set_profiles(answer_options(config_).profiles);
  start();
  const auto it = ask(control::ExplainRequest{"postfix", "a.example"}).explanation;
  EXPECT_EQ(it.reply, test::kSecure);
}

TEST_F(CommandsTest, PagesHaveEveryEntryOnceCommittedOrNot) {
  cache::Entry entry = test::policy();
  for (int i = 0; i < 100; ++i) {
    entry.policy->policy.mx.push_back(
        *mtasts::MxPattern::parse("mx" + std::to_string(i) + ".some-long-name.example"));
  }
  const auto numbered = [](int number) {
    return name(std::to_string(10000 + number) + ".example");
  };
  for (int i = 0; i < 500; i += 2) {
    store_->put(numbered(i), entry);
  }
  ASSERT_TRUE(store_->commit_now());
  for (int i = 1; i < 500; i += 2) {
    store_->put(numbered(i), entry);
  }
  store_->erase(numbered(0));
  start();
  std::string after;
  int pages = 0;
  int next = 1;
  do {
    const auto page = ask(control::ListRequest{after});
    for (const auto& record : page.records) {
      EXPECT_EQ(record.domain, numbered(next++).view());
      EXPECT_TRUE(cache::decode_entry(record.bytes));
    }
    after = page.next;
    ++pages;
  } while (!after.empty());
  EXPECT_EQ(next, 500);
  EXPECT_GT(pages, 2);
}

TEST_F(CommandsTest, ImportsAndForgets) {
  const cache::Entry entry = test::policy();
  start();
  using control::ImportResult;
  const control::ImportRequest request{name("a.example"), entry};
  EXPECT_EQ(ask(request).result, ImportResult::Imported);
  EXPECT_EQ(ask(request).result, ImportResult::Newer);
  EXPECT_TRUE(ask(control::ShowRequest{name("a.example")}).entry->policy);
  EXPECT_TRUE(ask(control::ForgetRequest{name("a.example")}).entry);
  EXPECT_FALSE(ask(control::ForgetRequest{name("a.example")}).entry);
  EXPECT_FALSE(ask(control::ShowRequest{name("a.example")}).entry);
}

TEST_F(CommandsTest, ARefreshSaysWhyItFailed) {
  store_->put(name("a.example"), test::policy());
  start();
  const auto refreshed = ask(control::RefreshRequest{name("a.example")});
  EXPECT_EQ(refreshed.result, control::Refreshed::Result::Failed);
  EXPECT_NE(refreshed.detail, "");
  EXPECT_TRUE(refreshed.entry->policy);
}

}  // namespace
}  // namespace mtastsd::daemon
