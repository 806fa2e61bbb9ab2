#include "mtastsd/https/fetch_thread.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mtastsd/event/loop.h"

namespace mtastsd::https {
namespace {

using std::chrono::steady_clock;

const FetchLimits kLimits{.total = Milliseconds(5000)};

// What the thread and the test both look at.
struct Seen {
  std::atomic<int> begun{0};
  std::atomic<int> dropped{0};
  std::atomic<bool> on_test_thread{false};
};

// Answers a fetch of "N.example" after N milliseconds, with the host. "block.example" keeps its
// thread busy for half a second, as a handshake that is made to be expensive would.
class TimedFetcher final : public PolicyFetcher {
 public:
  TimedFetcher(event::Loop& loop, Seen& seen) : loop_(loop), seen_(seen) {}

  Handle fetch(const DomainName& host, Connection, FetchLimits,
               std::function<void(FetchResult)> callback) override {
    ++seen_.begun;
    if (std::this_thread::get_id() == test_thread_) {
      seen_.on_test_thread = true;
    }
    const std::string text = host.str();
    if (text == "block.example") {
      std::this_thread::sleep_for(Milliseconds(500));
    }
    auto handle = std::make_unique<TimedFetch>(seen_);
    handle->timer = loop_.make_timer(
        [text, callback = std::move(callback)] { callback(FetchResult(PolicyBody{text})); });
    handle->timer->arm(Milliseconds(std::atoi(text.c_str())));
    return handle;
  }
  bool uses_proxy() const override { return false; }

 private:
  struct TimedFetch : Fetch {
    explicit TimedFetch(Seen& s) : seen(s) {}
    ~TimedFetch() override { ++seen.dropped; }
    Seen& seen;
    std::unique_ptr<event::Timer> timer;
  };

  event::Loop& loop_;
  Seen& seen_;
  const std::thread::id test_thread_ = std::this_thread::get_id();
};

class FetchThreadTest : public testing::Test {
 protected:
  FetchThreadTest()
      : fetcher_(make_fetch_threads(home_, 1, [this](event::Loop& loop) {
          return std::make_unique<TimedFetcher>(loop, seen_);
        })) {}

  Handle start(const std::string& host, std::function<void(FetchResult)> callback) {
    return fetcher_->fetch(*DomainName::parse(host), Connection{}, kLimits, std::move(callback));
  }
  static void never(const FetchResult&) { ADD_FAILURE() << "called back"; }

  void run(Milliseconds limit) {
    const auto timer = home_.make_timer([&] { home_.stop(); });
    timer->arm(limit);
    home_.run();
  }

  Seen seen_;
  event::Loop home_;
  std::unique_ptr<PolicyFetcher> fetcher_;
};

TEST_F(FetchThreadTest, AResultComesBackToTheThreadThatAsked) {
  std::optional<std::string> got;
  const Handle handle = start("5.example", [&](FetchResult result) {
    EXPECT_TRUE(result);
    got = result->body;
    home_.stop();
  });
  EXPECT_FALSE(got) << "called back before fetch() has returned";
  run(Milliseconds(10000));
  EXPECT_EQ(got, "5.example");
  EXPECT_FALSE(seen_.on_test_thread);
}

TEST_F(FetchThreadTest, AnExpensiveFetchHoldsUpNothingHere) {
  int beats = 0;
  auto last = steady_clock::now();
  Milliseconds longest{0};
  std::unique_ptr<event::Timer> beat = home_.make_timer([&] {
    const auto now = steady_clock::now();
    longest = std::max(longest, std::chrono::duration_cast<Milliseconds>(now - last));
    last = now;
    ++beats;
    beat->arm(Milliseconds(5));
  });
  beat->arm(Milliseconds(5));
  bool done = false;
  const Handle handle = start("block.example", [&](const FetchResult&) {
    done = true;
    home_.stop();
  });
  run(Milliseconds(10000));
  EXPECT_TRUE(done);
  EXPECT_GT(beats, 20);
  EXPECT_LT(longest, Milliseconds(250));
}

TEST_F(FetchThreadTest, AnExpensiveFetchHoldsUpOnlyThoseOfItsThread) {
  fetcher_ = make_fetch_threads(
      home_, 2, [this](event::Loop& loop) { return std::make_unique<TimedFetcher>(loop, seen_); });
  std::vector<std::string> order;
  std::vector<Handle> handles;
  for (const char* host : {"block.example", "1.example", "2.example"}) {
    handles.push_back(start(host, [&](FetchResult result) {
      order.push_back(result->body);
      if (order.size() == 3) {
        home_.stop();
      }
    }));
  }
  run(Milliseconds(10000));
  ASSERT_EQ(order.size(), 3U);
  EXPECT_EQ(order.front(), "1.example");
  order.clear();
  // Those that come later go to the thread that has none.
  handles.push_back(start("block.example", [&](FetchResult result) {
    order.push_back(result->body);
    home_.stop();
  }));
  for (int i = 0; i < 5; ++i) {
    handles.push_back(
        start("0.example", [&](FetchResult result) { order.push_back(result->body); }));
    const auto pause = home_.make_timer([&] { home_.stop(); });
    pause->arm(Milliseconds(40));
    home_.run();
  }
  run(Milliseconds(10000));
  EXPECT_EQ(order, (std::vector<std::string>{"0.example", "0.example", "0.example", "0.example",
                                             "0.example", "block.example"}));
}

TEST_F(FetchThreadTest, ADroppedHandleIsNeverCalledBack) {
  for (const int after_ms : {0, 10, 60}) {
    Handle handle = start("30.example", [&](const FetchResult&) {
      if (after_ms < 60) {
        never({});
      }
    });
    run(Milliseconds(after_ms));
    handle.reset();
  }
  // Its result is on the way when it is dropped.
  Handle handle = start("1.example", never);
  std::this_thread::sleep_for(Milliseconds(60));
  handle.reset();
  run(Milliseconds(60));
  // It ends on the other side as well.
  handle = start("4000.example", never);
  run(Milliseconds(30));
  handle.reset();
  run(Milliseconds(60));
  EXPECT_EQ(seen_.begun, 5);
  EXPECT_EQ(seen_.dropped, 5);
}

TEST_F(FetchThreadTest, DestroyingTheFetcherIsSilentAndHandlesMayLiveOn) {
  std::vector<Handle> handles;
  for (const char* host : {"1.example", "1.example", "20.example", "4000.example"}) {
    handles.push_back(start(host, never));
  }
  std::this_thread::sleep_for(Milliseconds(30));
  fetcher_.reset();
  run(Milliseconds(50));  // the results that were on their way
  EXPECT_EQ(seen_.begun, seen_.dropped);
}

TEST_F(FetchThreadTest, AnOrderThatWasNotBegunClosesItsConnection) {
  const Handle busy = start("block.example", never);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd other(ends[1]);
  const Handle handle = fetcher_->fetch(*DomainName::parse("1.example"),
                                        Connection{Fd(ends[0]), std::nullopt}, kLimits, never);
  fetcher_.reset();
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), -1);
}

TEST_F(FetchThreadTest, TheCallbackMayDestroyTheFetcherAndDropHandles) {
  std::vector<Handle> handles;
  int called = 0;
  for (int i = 0; i < 10; ++i) {
    handles.push_back(start("5.example", [&](const FetchResult&) {
      ++called;
      handles.clear();
      fetcher_.reset();
      home_.stop();
    }));
  }
  run(Milliseconds(5000));
  run(Milliseconds(30));
  EXPECT_EQ(called, 1);
}

TEST_F(FetchThreadTest, ACallbackMayFetchAgain) {
  Handle handle;
  int left = 50;
  std::function<void(FetchResult)> again = [&](const FetchResult&) {
    if (--left == 0) {
      home_.stop();
    } else {
      handle = start("0.example", again);
    }
  };
  handle = start("0.example", again);
  run(Milliseconds(10000));
  EXPECT_EQ(left, 0);
}

TEST_F(FetchThreadTest, ManyAtOnceSomeOfThemDropped) {
  std::vector<Handle> handles;
  int done = 0;
  for (int i = 0; i < 300; ++i) {
    handles.push_back(start(std::to_string(i % 40) + ".example", [&](const FetchResult&) {
      ++done;
      if (done == 200) {
        home_.stop();
      }
    }));
    if (i % 3 == 0) {
      handles.back().reset();
    }
  }
  run(Milliseconds(10000));
  EXPECT_EQ(done, 200);
}

}  // namespace
}  // namespace mtastsd::https
