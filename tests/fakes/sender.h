#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fakes/fake_dialer.h"
#include "fakes/fake_loop.h"
#include "fakes/networks.h"
#include "mtastsd/answer/answerer.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/dane/finder.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/log/log.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::test {

// The sending side put together as the daemon does it, on virtual time: answerer, resolver and
// the real LMDB store, in one thread. A commit comes `commit_after` the first put that waits for
// one; kill() loses what was put since the last.
class Sender final : public answer::Asker {
 public:
  struct Settings {
    std::string directory;
    resolver::Options resolver;
    Milliseconds answer_timeout{20000};
    std::size_t max_cache_size = std::size_t{64} << 20;
    bool dane = false;  // the map "dane" exists, and its profile does DANE
  };
  using Reply = std::function<void(std::uint64_t question, std::string_view reply)>;

  Sender(FakeLoop& loop, dns::DnsClient& dns, https::PolicyFetcher& fetcher, Log& log,
         std::function<double()> jitter, Reply reply)
      : loop_(loop),
        dns_(dns),
        dialer_(loop),
        fetcher_(fetcher),
        log_(log),
        jitter_(std::move(jitter)),
        reply_(std::move(reply)),
        mailbox_timer_(loop.make_timer([this] { empty_mailbox(); })),
        commit_timer_(loop.make_timer([this] { commit(); })) {}
  ~Sender() override { kill(); }

  Settings settings;
  Milliseconds commit_after{200};  // negative: only commit() does it
  std::function<void()> on_commit;

  // What is wrong, or nothing.
  std::string start() {
    cache::StoreOptions options;
    options.directory = settings.directory;
    options.max_size = settings.max_cache_size;
    options.commit = cache::StoreOptions::Commit::WhenAsked;
    options.clock = &loop_;
    auto opened = cache::LmdbStore::open(options, log_);
    if (!opened) {
      return opened.error();
    }
    store_ = std::move(*opened);
    watched_ = std::make_unique<WatchedStore>(*this);
    discovery_ = std::make_unique<discovery::Discovery>(
        discovery::Services{loop_, dns_, dialer_, fetcher_},
        discovery::Settings{.allow_networks = documentation_networks()});
    finder_ = std::make_unique<dane::Finder>(loop_, loop_, dns_);
    resolver_ = std::make_unique<resolver::Resolver>(
        resolver::Services{loop_, loop_, *discovery_, *watched_, log_, jitter_, finder_.get()},
        settings.resolver);
    answer::AnswerOptions answer;
    answer.profiles.emplace(answer::kDefaultMap, postfix::Profile{});
    if (settings.dane) {
      answer.profiles.emplace("dane", postfix::Profile{.dane = true});
    }
    answer.answer_timeout = settings.answer_timeout;
    answerer_ =
        std::make_unique<answer::Answerer>(loop_, loop_, *store_, *this, log_, counters_, answer);
    answerer_->set_reply([this](const socketmap::Ticket& ticket, std::string_view text) {
      reply_(ticket.request, text);
    });
    return {};
  }

  // In order: all questions are answered, everything is committed.
  void stop() {
    if (running()) {
      answerer_->answer_all_now();
      commit();
      kill();
    }
  }

  // As SIGKILL: what was not committed is lost, nobody gets an answer.
  void kill() {
    answerer_.reset();
    resolver_.reset();
    finder_.reset();
    discovery_.reset();
    watched_.reset();
    store_.reset();
    mailbox_.clear();
    mailbox_timer_->cancel();
    commit_timer_->cancel();
  }

  bool running() const { return answerer_ != nullptr; }

  // A request as it comes out of its netstring, "NAME key". The reply comes by `reply`, possibly
  // before this returns.
  void request(std::string_view text, std::uint64_t question) {
    std::string now;
    if (answerer_->handle(text, {0, question}, now)) {
      reply_(question, now);
    }
  }

  void commit() {
    commit_timer_->cancel();
    if (store_ && store_->commit_now() && on_commit) {
      on_commit();
    }
  }

  cache::LmdbStore& store() { return *store_; }
  resolver::Resolver& resolver() { return *resolver_; }

  void ask(const DomainName& domain, std::uint64_t question) override {
    post([this, domain, question] {
      if (question == 0) {
        resolver_->touch(domain);
        return;
      }
      const auto tell = [this, question](const resolver::Answer& answer) {
        post([this, question, answer] { answerer_->on_answer(question, answer); });
      };
      resolver::tell_now_or_later(resolver_->ask(domain, tell), tell);
    });
  }
  void survey(const DomainName& domain, const dane::Target& target,
              std::uint64_t question) override {
    post([this, domain, target, question] {
      const auto tell = [this, question](const resolver::Answer& answer) {
        if (question != 0) {
          post([this, question, answer] { answerer_->on_answer(question, answer); });
        }
      };
      resolver::tell_now_or_later(resolver_->survey(domain, target, tell), tell);
    });
  }

 private:
  // Forwards, and sees to it that a commit comes.
  class WatchedStore final : public cache::Store {
   public:
    explicit WatchedStore(Sender& sender) : sender_(sender) {}
    cache::EntryPtr find(const DomainName& domain) override { return sender_.store_->find(domain); }
    void put(const DomainName& domain, cache::Entry entry) override {
      sender_.store_->put(domain, std::move(entry));
      sender_.plan_commit();
    }
    void erase(const DomainName& domain) override {
      sender_.store_->erase(domain);
      sender_.plan_commit();
    }
    cache::Due due(const cache::DueRequest& request) override {
      return sender_.store_->due(request);
    }
    cache::Page page(const std::string& after) override { return sender_.store_->page(after); }

   private:
    Sender& sender_;
  };

  void plan_commit() {
    if (commit_after >= Milliseconds(0) && !commit_timer_->armed()) {
      commit_timer_->arm(commit_after);
    }
  }

  void post(std::function<void()> message) {
    mailbox_.push_back(std::move(message));
    if (!mailbox_timer_->armed()) {
      mailbox_timer_->arm(Milliseconds(0));
    }
  }

  void empty_mailbox() {
    for (const auto& message : std::exchange(mailbox_, {})) {
      message();
    }
  }

  FakeLoop& loop_;
  dns::DnsClient& dns_;
  FakeDialer dialer_;
  https::PolicyFetcher& fetcher_;
  Log& log_;
  std::function<double()> jitter_;
  Reply reply_;
  answer::Counters counters_;
  std::vector<std::function<void()>> mailbox_;
  std::unique_ptr<event::Timer> mailbox_timer_;
  std::unique_ptr<event::Timer> commit_timer_;
  std::unique_ptr<cache::LmdbStore> store_;
  std::unique_ptr<WatchedStore> watched_;
  std::unique_ptr<discovery::Discovery> discovery_;
  std::unique_ptr<dane::Finder> finder_;
  std::unique_ptr<resolver::Resolver> resolver_;  // depends-on: watched_, discovery_, finder_
  std::unique_ptr<answer::Answerer> answerer_;    // depends-on: store_, resolver_
};

}  // namespace mtastsd::test
