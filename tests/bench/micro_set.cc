#include "micro_set.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

#include "fakes/temp_dir.h"
#include "mtastsd/answer/answerer.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/mtasts/txt_record.h"
#include "mtastsd/postfix/postfix_policy.h"
#include "mtastsd/postfix/request.h"
#include "mtastsd/resolver/decide.h"
#include "mtastsd/socketmap/netstring.h"
#include "mtastsd/socketmap/server.h"
#include "sample.h"

namespace bench {
namespace {

using namespace mtastsd;

constexpr unsigned kHosts = 2;

// The compiler must not see that nobody looks at a result.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

class NobodyToAsk final : public answer::Asker {
 public:
  void ask(const DomainName&, std::uint64_t) override {
    throw std::runtime_error("a hit that is none");
  }
  void survey(const DomainName&, const dane::Target&, std::uint64_t) override {
    throw std::runtime_error("a hit that is none");
  }
};

// A client on the same loop as the server: one request, one reply, and the loop ends.
class Client {
 public:
  Client(event::Loop& loop, socketmap::Server& server) : loop_(loop) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0) {
      throw std::runtime_error("socketpair");
    }
    fd_ = pair[0];
    server.add(pair[1], std::nullopt);
    watch_ = loop_.watch(fd_, event::Interest::Read, [this](event::Interest) { on_reply(); });
  }
  ~Client() {
    watch_.reset();
    ::close(fd_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void ask(std::string_view frame) {
    if (::send(fd_, frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size())) {
      throw std::runtime_error("send");
    }
    loop_.run();
  }

 private:
  void on_reply() {
    std::array<char, 4096> buffer{};
    keep(::recv(fd_, buffer.data(), buffer.size(), 0));
    loop_.stop();
  }

  event::Loop& loop_;
  int fd_ = -1;
  std::unique_ptr<event::FdWatch> watch_;
};

template <typename T>
T opened(Result<T, std::string> result) {
  if (!result) {
    throw std::runtime_error(result.error());
  }
  return std::move(*result);
}

cache::StoreOptions store_options(const std::string& directory) {
  cache::StoreOptions options;
  options.directory = directory;
  options.commit = cache::StoreOptions::Commit::WhenAsked;
  return options;
}

answer::AnswerOptions answer_options() {
  answer::AnswerOptions options;
  options.profiles = {{"postfix", {}}, {"QUERYwithTLSRPT", {true, true, false}}};
  return options;
}

}  // namespace

struct MicroSet::World {
  World() {
    const WallTime now = clock.wall();
    for (const char kind : {'p', 'n'}) {
      for (std::size_t i = 0; i < kDomains; ++i) {
        const std::string domain = kind + std::to_string(i) + ".bench.test";
        domains.push_back(*DomainName::parse(domain));
        requests.push_back("postfix " + domain);
        store->put(domains.back(),
                   kind == 'p' ? sample_policy(domain, kHosts, now) : sample_negative(now));
      }
    }
    if (!store->commit_now()) {
      throw std::runtime_error("cannot write the cache");
    }
    entry = sample_policy("p1.bench.test", kHosts, now);
    record = cache::encode(entry);
    policy_text = mtasts::text_of(entry.policy->policy);
    facts = cache::facts_of(entry);
    for (const auto& pattern : entry.policy->policy.mx) {
      pattern_texts.push_back(pattern.str());
    }
    patterns.assign(pattern_texts.begin(), pattern_texts.end());
  }

  // The next of the policies, from `first` on.
  std::size_t next(std::size_t first) { return first + turn++ % kDomains; }

  void answer(std::string_view question) {
    reply.clear();
    if (!answerer.handle(question, {}, reply)) {
      throw std::runtime_error("not answered at once: " + std::string(question));
    }
    keep(reply.data());
  }

  test::TempDir dir;
  Log log = Log::null();
  SystemClock clock;
  event::Loop loop;
  NobodyToAsk nobody;
  answer::Counters counters;
  socketmap::ServerCounters server_counters;
  socketmap::ConnectionCount connections{10};
  std::unique_ptr<cache::LmdbStore> store =
      opened(cache::LmdbStore::open(store_options(dir.path()), log));
  std::unique_ptr<cache::Reader> reader = store->make_reader();
  answer::Answerer answerer{clock, loop, *store, nobody, log, counters, answer_options()};
  socketmap::Server server{loop, answerer, server_counters, connections, {}};
  Client client{loop, server};

  std::vector<DomainName> domains;    // policies, then as many without
  std::vector<std::string> requests;  // for each of them
  cache::Entry entry;
  cache::EntryFacts facts;
  std::string record;
  std::string policy_text;
  std::vector<std::string> pattern_texts;
  std::vector<std::string_view> patterns;
  std::string request;
  std::string reply;
  std::size_t turn = 0;
};

MicroSet::MicroSet() : world_(std::make_unique<World>()) {
  World& w = *world_;
  const auto add = [this](std::string_view name, std::function<void()> once) {
    cases_.push_back({name, std::move(once)});
  };
  add("txt parse", [] { keep(mtasts::parse_txt_record("v=STSv1; id=20240101T000000;")); });
  add("policy parse", [&w] { keep(mtasts::parse_policy(w.policy_text)); });
  add("request parse", [frame = std::string("21:postfix Example12.COM,")] {
    const auto netstring = socketmap::read_netstring(frame, socketmap::kMaxRequestBytes);
    keep(postfix::policy_domain_of(postfix::split_request(netstring.payload).key));
  });
  add("decide: judge", [&w] { keep(resolver::judge(w.facts, w.entry.txt_checked_at)); });
  add("decide: after a fetch", [&w] {
    const resolver::Fetched fetched{w.entry.policy->policy};
    keep(resolver::after_fetch(w.entry, "20250101T000000", fetched, w.entry.txt_checked_at, {},
                               0.5));
  });
  const auto format = [&w](const postfix::Profile& profile) {
    w.reply.clear();
    postfix::append_secure_reply(
        w.reply, {"p1.bench.test", w.facts.mode, w.facts.max_age, w.patterns}, profile);
    keep(w.reply.data());
  };
  add("reply", [format] { format({}); });
  add("reply for TLSRPT", [format] { format({true, true, false}); });
  add("lmdb read", [&w] {
    cache::Reader::Snapshot snapshot(*w.reader);
    keep(snapshot.find(w.domains[w.next(0)]));
  });
  add("record decode", [&w] { keep(cache::RecordView::decode(w.record)); });
  add("record encode", [&w] { keep(cache::encode(w.entry)); });
  // Another next-hop each time: only the cache knows the domain.
  add("hit, read from the cache", [&w] {
    const std::size_t turn = w.turn;
    w.request = "postfix ";
    w.request += w.domains[w.next(0)].view();
    w.request += ':';
    w.request += std::to_string(1 + turn % 65535);
    w.answer(w.request);
  });
  add("hit, asked before", [&w] { w.answer(w.requests[w.next(0)]); });
  add("hit, asked before, no policy", [&w] { w.answer(w.requests[w.next(kDomains)]); });
  add("parent key", [&w] { w.answer("postfix .bench.test"); });
  add("hit through loop and sockets", [&w, frame = std::string()]() mutable {
    frame.clear();
    socketmap::append_netstring(frame, w.requests[w.next(0)]);
    w.client.ask(frame);
  });
}

MicroSet::~MicroSet() = default;

}  // namespace bench
