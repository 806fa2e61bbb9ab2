#include "override_book.h"

#include <gtest/gtest.h>

#include <string>

#include "fakes/fake_loop.h"
#include "fakes/temp_dir.h"
#include "mtastsd/log/log.h"

namespace mtastsd::daemon {
namespace {

using overrides::Action;
using overrides::Override;
using overrides::Scope;
using overrides::Source;

constexpr Seconds kDay{86400};

class OverrideBookTest : public testing::Test {
 protected:
  OverrideBookTest() { open({}); }

  // A daemon that was killed and starts again with this configuration.
  void open(std::vector<Override> configured) {
    book_.reset();
    store_.reset();
    cache::StoreOptions options;
    options.directory = dir_.path();
    options.commit = cache::StoreOptions::Commit::WhenAsked;  // a stop commits nothing
    store_ = std::move(*cache::LmdbStore::open(options, log_));
    book_ = std::make_unique<OverrideBook>(loop_, loop_, *store_, log_);
    book_->load(std::move(configured));
    book_->set_publish([this](const overrides::TablePtr& /*table*/, event::Callback done) {
      ++published_;
      if (done) {
        done();
      }
    });
  }

  Override of(const std::string& scope, Action action, std::optional<Seconds> span = {}) const {
    Override one{.scope = *Scope::parse(scope),
                 .action = action,
                 .reason = "why",
                 .until = span ? std::optional(loop_.wall() + *span) : std::nullopt};
    if (action == Action::Pin) {
      one.mx = {*mtasts::MxPattern::parse("mx.example")};
    }
    return one;
  }
  // "ignore", or nothing.
  std::string action_for(const std::string& domain) const {
    const Override* one =
        book_->table() ? book_->table()->find(*DomainName::parse(domain), loop_.wall()) : nullptr;
    return one != nullptr ? std::string(to_string(one->action)) : "";
  }
  std::size_t shown() const { return book_->table() ? book_->table()->all().size() : 0; }

  test::TempDir dir_;
  test::FakeLoop loop_;
  Log log_ = Log::null();
  std::unique_ptr<cache::LmdbStore> store_;
  std::unique_ptr<OverrideBook> book_;
  int published_ = 0;
};

TEST_F(OverrideBookTest, WhatWasAddedOutlivesAKillAndForget) {
  bool told = false;
  ASSERT_TRUE(book_->add(of("a.example", Action::Ignore, kDay), "uid 7", [&] { told = true; }));
  EXPECT_TRUE(told);
  EXPECT_EQ(published_, 1);
  store_->erase(*DomainName::parse("a.example"));
  ASSERT_TRUE(store_->commit_now());
  open({});
  ASSERT_EQ(shown(), 1U);
  EXPECT_EQ(action_for("a.example"), "ignore");
  EXPECT_EQ(book_->table()->all()[0].by, "uid 7");
  EXPECT_EQ(book_->table()->all()[0].source, Source::CommandLine);
}

TEST_F(OverrideBookTest, WhatWasRemovedStaysAway) {
  ASSERT_TRUE(book_->add(of("a.example", Action::Ignore, kDay), "uid 0", nullptr));
  EXPECT_EQ(*book_->remove(*Scope::parse("b.example"), "uid 0", nullptr), std::nullopt);
  const auto removed = book_->remove(*Scope::parse("a.example"), "uid 0", nullptr);
  ASSERT_TRUE(removed && *removed);
  EXPECT_EQ((*removed)->scope.str(), "a.example");
  EXPECT_EQ(book_->table(), nullptr);
  open({});
  EXPECT_EQ(shown(), 0U);
}

TEST_F(OverrideBookTest, TheLaterDecisionCountsAlsoAfterARestart) {
  const std::vector<Override> file = {of("a.example", Action::Pin)};
  open(file);
  EXPECT_EQ(action_for("a.example"), "pin");
  loop_.advance(Seconds(10));
  ASSERT_TRUE(book_->add(of("a.example", Action::Dane), "uid 0", nullptr));
  EXPECT_EQ(action_for("a.example"), "dane");
  loop_.advance(Seconds(10));
  open(file);  // the file says what it said before
  EXPECT_EQ(shown(), 2U);
  EXPECT_EQ(action_for("a.example"), "dane");
  loop_.advance(Seconds(10));
  book_->configure({of("a.example", Action::Testing)});  // it has changed: a new decision
  EXPECT_EQ(action_for("a.example"), "testing");
  open({of("a.example", Action::Testing)});
  EXPECT_EQ(action_for("a.example"), "testing");
  book_->configure({});
  EXPECT_EQ(action_for("a.example"), "dane");
  EXPECT_FALSE(book_->is_configured(*Scope::parse("a.example")));
}

TEST_F(OverrideBookTest, WhatEndsIsClearedAwayAndUncoversTheConfiguration) {
  open({of("a.example", Action::Pin, 10 * kDay)});
  loop_.advance(Seconds(1));
  ASSERT_TRUE(book_->add(of("a.example", Action::Ignore, kDay), "uid 0", nullptr));
  published_ = 0;
  loop_.advance(kDay - Seconds(1));
  EXPECT_EQ(action_for("a.example"), "ignore");
  loop_.advance(Seconds(1));
  EXPECT_EQ(action_for("a.example"), "pin");
  EXPECT_EQ(shown(), 1U);
  EXPECT_EQ(published_, 1);
  loop_.advance(10 * kDay);
  EXPECT_EQ(action_for("a.example"), "");
  EXPECT_EQ(shown(), 1U);  // it is still in the file
}

TEST_F(OverrideBookTest, WhatEndedWhileTheDaemonWasDownDoesNotCount) {
  ASSERT_TRUE(book_->add(of("a.example", Action::Ignore, kDay), "uid 0", nullptr));
  book_.reset();
  loop_.advance(kDay);
  open({});
  EXPECT_EQ(shown(), 0U);
}

TEST_F(OverrideBookTest, RefusesWhatCannotBe) {
  EXPECT_FALSE(book_->add(of("a.example", Action::Ignore, Seconds(0)), "uid 0", nullptr));
  Override large = of("a.example", Action::Ignore, kDay);
  large.reason = std::string(overrides::kMaxReasonBytes, 'x');
  Result<void, std::string> added;
  for (int i = 0; added && i < 1000; ++i) {
    large.scope = *Scope::parse("n" + std::to_string(i) + ".example");
    added = book_->add(large, "uid 0", nullptr);
  }
  ASSERT_FALSE(added);
  EXPECT_NE(added.error().find("KiB"), std::string::npos);
  EXPECT_EQ(action_for(large.scope.domain.str()), "");
}

TEST_F(OverrideBookTest, OneThatCannotBeReadIsLeftAlone) {
  ASSERT_TRUE(store_->write_notes({{"command a.example", "{\"action\":\"newer\"}"}}));
  open({});
  EXPECT_EQ(shown(), 0U);
  EXPECT_EQ(store_->notes().size(), 1U);
}

}  // namespace
}  // namespace mtastsd::daemon
