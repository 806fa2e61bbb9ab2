#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mtastsd/answer/counters.h"
#include "mtastsd/answer/observations.h"
#include "mtastsd/answer/reply.h"
#include "mtastsd/answer/reply_memo.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/overrides/table.h"
#include "mtastsd/postfix/profile.h"
#include "mtastsd/resolver/resolver.h"
#include "mtastsd/socketmap/server.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::answer {

using Profiles = std::map<std::string, postfix::Profile, std::less<>>;

inline constexpr std::string_view kDefaultMap = "postfix";

struct AnswerOptions {
  Profiles profiles;  // holds kDefaultMap
  Milliseconds answer_timeout{20000};
};

// How the answering thread speaks to the resolver's: a message each way.
class Asker {
 public:
  virtual ~Asker() = default;
  // Tells the resolver of a query. `question` 0: nobody waits. Otherwise the answer comes by
  // Answerer::on_answer() with the same number, or never.
  virtual void ask(const DomainName& domain, std::uint64_t question) = 0;
  // The same for a survey of DANE (Resolver::survey).
  virtual void survey(const DomainName& domain, const dane::Target& target,
                      std::uint64_t question) = 0;
};

// Answers the requests of one answering thread. What the cache knows, committed or not, is answered
// at once; where nothing waits for its commit, that takes no lock, no allocation and no system
// call. Otherwise the resolver is asked, and within answer_timeout there is an answer whatever
// becomes of it (RFC 8461 section 5.1: as if there were no policy, where none is known).
class Answerer final : public socketmap::RequestHandler {
 public:
  using Reply = std::function<void(const socketmap::Ticket&, std::string_view text)>;

  Answerer(const Clock& clock, event::Timers& timers, const cache::LmdbStore& store, Asker& asker,
           Log& log, Counters& counters, AnswerOptions options);

  // Where replies go that were not given at once.
  void set_reply(Reply reply) { reply_ = std::move(reply); }
  void set_options(AnswerOptions options);
  // From the next answer on, also to those who wait already. Null: there are none.
  void set_overrides(overrides::TablePtr overrides);
  // Domains whose queries and answers are logged, at the level Trace. Null: none.
  using Traced = std::shared_ptr<const std::vector<DomainName>>;
  void set_traced(Traced traced);

  bool handle(std::string_view request, const socketmap::Ticket& ticket,
              std::string& reply) override;
  void on_answer(std::uint64_t question, const resolver::Answer& answer);

  // The daemon stops: answers all who wait with what is known now.
  void answer_all_now();
  std::size_t waiting() const { return waiting_.size(); }

  // What maps that only observe would have been told, by domain.
  ObservedSum observed() const { return observations_ ? observations_->sum() : ObservedSum(); }

 private:
  struct Waiting {
    socketmap::Ticket ticket;
    SteadyTime since;
    DomainName domain;
    postfix::Profile profile;
    dane::Target target;
    bool fresh = false;     // the policy was fetched for this query
    bool surveyed = false;  // the survey of DANE was asked for as well
    cache::EntryPtr entry;  // with surveyed: what that was asked for
  };

  const postfix::Profile& profile_of(std::string_view map);
  bool from_memo(std::string_view request, WallTime now, std::string& reply);
  resolver::Verdict from_cache(const Question& question, WallTime now, std::string& reply);
  resolver::Verdict from_nothing(const Question& question, WallTime now, std::string& reply);
  resolver::Verdict from_entry(cache::EntryView& entry, const Question& question, WallTime now,
                               std::string& reply);
  void settle(const Question& question, WallTime now, resolver::Verdict& known, std::string& reply);
  void observe(const Question& question, resolver::Verdict& known, std::string& reply);
  void log_observed(const Question& question);
  void count(resolver::Standing standing);
  bool is_traced(const DomainName& domain) const;
  void trace_answer(const DomainName& domain, std::string_view from, std::string_view reply);
  void tell_resolver(const resolver::Verdict& known, const Question& question, WallTime now);
  bool told_lately(std::size_t hash, WallTime now);
  void answer_from_cache(const Waiting& waiting);
  void note_time(const Waiting& waiting);
  void on_deadline();
  void arm_deadline();

  const Clock& clock_;
  Asker& asker_;
  Log& log_;
  Counters& counters_;
  AnswerOptions options_;
  overrides::TablePtr overrides_;
  Traced traced_;
  Reply reply_;
  std::unique_ptr<cache::Reader> reader_;
  ReplyMemo memo_;                          // depends-on: reader_
  std::vector<std::string_view> patterns_;  // of the entry being answered from
  std::vector<std::string> warned_maps_;
  std::string enforced_;  // what a map that only observes would have been told
  std::unique_ptr<Observations> observations_;  // once a map has observed something
  SteadyTime observed_lines_since_{};
  std::size_t observed_lines_ = 0;             // since then
  std::uint64_t observed_lines_left_out_ = 0;  // since the last line

  // Domains that the resolver was told of lately: a busy domain costs it one message now and then.
  struct Told {
    std::size_t hash = 0;
    WallTime at{};
  };
  std::array<Told, 1024> told_{};

  std::uint64_t next_question_ = 1;
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::deque<std::pair<SteadyTime, std::uint64_t>> deadlines_;  // in order; some answered already
  std::unique_ptr<event::Timer> deadline_timer_;
};

}  // namespace mtastsd::answer
