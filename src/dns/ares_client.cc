// Which server is asked when and how, and what came of it. Each server has c-ares channels of its
// own (channel.h), and each question that goes over TCP has one.
//
// A question goes to the first server. After kAskAgainAfter of silence it is asked again there, and
// without EDNS; after kNextServerAfter, or after an error, at the next server. After the last one
// it starts over with waits twice as long, and over TCP as well. Answers to all that was asked
// before still count, however late; the first good one wins. A server that stayed silent where
// another one answered is asked last for kSuspectFor.
//
// An answer that is no use is asked for again at once in the next Way (other_way()). A way that
// worked where the ones before it did not is the first one for that server for kWayKeptFor.
//
// New servers mean a new generation of channels, and so do kQuestionsPerPort questions; the old one
// is destroyed when nobody waits for its answers any more.
//
// Lifetimes: a Question is owned by the caller, through the Handle, and known here by pointer;
// whichever of the two dies first unhooks the other. c-ares owns the attempts. Callbacks run from
// deliver() only, never inside a call of c-ares.
//
// Logs: dns_servers at the start and at each change, resolv_conf_unreadable once for each change.

#include "mtastsd/dns/ares_client.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <list>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include <sys/stat.h>

#include "channel.h"
#include "message.h"
#include "mtastsd/base/text.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/event/self_guard.h"
#include "mtastsd/log/log.h"
#include "servers.h"

namespace mtastsd::dns {

namespace {

// A burst makes a socket's buffer run over, and what was lost has to be asked again while mail
// waits. A server at work on the answer is not hurt: it gets the same question once more.
constexpr Milliseconds kAskAgainAfter{500};
constexpr Milliseconds kNextServerAfter{1500};
constexpr Milliseconds kSuspectFor{30000};
constexpr std::uint64_t kQuestionsPerPort = 100;  // then another source port: harder to guess
constexpr Milliseconds kPatienceWhenCrowded{10000};
constexpr Milliseconds kLookAtResolvConfEvery{1000};
constexpr Milliseconds kRefusedAgainAfter{300};  // a resolver that restarts refuses for a moment
constexpr Milliseconds kRefusedAgainFor{2000};
constexpr std::size_t kMaxWaiting = 10000;
constexpr std::size_t kTurns = 2;
constexpr std::chrono::minutes kWayKeptFor{10};
constexpr int kSilencesToLearn = 2;  // one can be a lost packet
// Connections for questions that UDP brought no answer to. Truncated answers come on top.
constexpr std::size_t kMaxTcpInsteadOfUdp = 100;
// A server is asked again whether it validates: it may have been set up anew at the same address.
constexpr std::chrono::minutes kProbeAgain{60};
constexpr std::chrono::minutes kProbeAgainSoon{1};  // as long as it is not known to validate
constexpr int kMaxHops = 8;                         // CNAMEs whose targets have to be asked for

// In which way to ask the same server again, if that can help. SERVFAIL is mostly meant, and an old
// forwarder's word for EDNS now and then.
std::optional<Way> other_way(Way way, ErrorKind kind) {
  const bool mangled = kind == ErrorKind::NotUnderstood || kind == ErrorKind::Malformed;
  if (way == Way::Edns && (mangled || kind == ErrorKind::ServFail)) {
    return Way::Plain;
  }
  return way == Way::Plain && mangled ? std::optional(Way::Tcp) : std::nullopt;
}

template <typename T>
Answer<T> answer_from(Reading&& reading, Provenance&& provenance) {
  if (!reading) {
    return failure(std::move(reading.error()));
  }
  auto* records = std::get_if<T>(&*reading);
  Answer<T> answer = records != nullptr ? Answer<T>(std::move(*records))
                                        : Answer<T>(std::get<NoSuchRecord>(*reading));
  answer.provenance = std::move(provenance);
  return answer;
}

// Changes with the file.
using FileMark = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::uint64_t>;

std::optional<FileMark> mark_of(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) {
    return std::nullopt;
  }
  return FileMark{st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_size, st.st_ino};
}

bool is_loopback(const IpAddress& address) {
  static const IpNetwork kV4 = *IpNetwork::parse("127.0.0.0/8");
  static const IpAddress kV6 = *IpAddress::parse("::1");
  return kV4.contains(address) || address == kV6;
}

// Of two steps of the way to an answer: one that is not signed makes all of it so.
Security combined(Security a, Security b) {
  const bool insecure = a == Security::Insecure || b == Security::Insecure;
  return insecure ? Security::Insecure : std::min(a, b);
}

std::vector<Server> parse_all(const std::vector<std::string>& texts) {
  std::vector<Server> servers;
  for (const auto& text : texts) {
    if (const auto server = parse_server(text)) {
      servers.push_back(*server);
    }
  }
  return servers;
}

class Client final : public AresClient, public Channel::Owner {
 public:
  Client(event::Loop& loop, const Clock& clock, Log& log, AresOptions options)
      : loop_(loop), clock_(clock), log_(log), delivery_(loop.make_timer([this] { deliver(); })) {
    reconfigure(std::move(options));
  }
  ~Client() override;

  template <typename T>
  Handle ask(const std::string& name, RecordType type, Callback<T> callback) {
    return ask_any(name, type,
                   [callback = std::move(callback)](Reading reading, Provenance provenance) {
                     callback(answer_from<T>(std::move(reading), std::move(provenance)));
                   });
  }
  Handle txt(const std::string& name, Callback<TxtRecords> callback) override {
    return ask(name, RecordType::Txt, std::move(callback));
  }
  Handle a(const std::string& name, Callback<Addresses> callback) override {
    return ask(name, RecordType::A, std::move(callback));
  }
  Handle aaaa(const std::string& name, Callback<Addresses> callback) override {
    return ask(name, RecordType::Aaaa, std::move(callback));
  }
  Handle mx(const std::string& name, Callback<MxRecords> callback) override {
    return ask(name, RecordType::Mx, std::move(callback));
  }
  Handle tlsa(const std::string& name, Callback<TlsaRecords> callback) override {
    return ask(name, RecordType::Tlsa, std::move(callback));
  }
  std::vector<std::string> servers() const override;
  std::vector<ServerHealth> health() const override;
  const Failures& failures() const override { return failures_; }
  void reconfigure(AresOptions options) override;
  void after_call() override { deliver(); }

 private:
  class Question;
  using Questions = std::list<Question*>;
  using AnyCallback = std::function<void(Reading, Provenance)>;

  Handle ask_any(const std::string& name, RecordType type, AnyCallback callback);
  // `only`: no other server is asked.
  Handle begin(const std::string& name, RecordType type, AnyCallback callback,
               std::optional<Server> only);

  // The channels over UDP for each of servers_; nullptr where none was needed so far.
  struct Generation {
    struct Channels {
      std::unique_ptr<Channel> edns;
      std::unique_ptr<Channel> plain;
    };
    std::uint64_t questions = 0;
    std::vector<Channels> channels;
    bool idle() const {
      return std::all_of(channels.begin(), channels.end(), [](const Channels& each) {
        return (!each.edns || each.edns->idle()) && (!each.plain || each.plain->idle());
      });
    }
  };

  // What is known of a server: the first way in which it is asked, until when, and the way that may
  // become that, with how often it alone worked.
  struct Habit {
    Way way = Way::Edns;
    SteadyTime until{};
    Way hint = Way::Edns;
    int hints = 0;
  };

  void look_at_resolv_conf();
  void use_servers(std::vector<Server> servers);
  void new_generation();
  void use_other_sockets();
  Channel* channel(std::size_t server, Way way);
  Way first_way(std::size_t server) const;
  void learn(std::size_t server, Way way, bool certain);
  std::optional<std::size_t> index_of(const Server& server) const;
  void sweep();
  void note_health(const Server& server, const Error* error);

  bool trusted(const Server& server) const;
  Security security_of(const Server& server, bool authenticated) const;
  void probe_servers();
  void on_probe(const Server& server, const Reading& reading, bool authenticated);

  void start(Question& question);
  void admit();
  bool has_place() const {
    return running_.size() < std::max<std::size_t>(1, options_.max_in_flight);
  }
  // Others wait for a place, or soon will.
  bool is_crowded() const {
    return !waiting_.empty() || running_.size() > options_.max_in_flight / 2;
  }
  void ready(Question& question);
  void deliver();
  void forget(Question& question);

  event::Loop& loop_;
  const Clock& clock_;
  Log& log_;
  AresOptions options_;

  std::vector<Server> servers_;
  std::vector<SteadyTime> suspect_until_;  // one for each server
  std::vector<ServerHealth> health_;       // the same
  Failures failures_{};
  std::vector<Habit> habits_;     // the same
  ResolvOptions resolv_options_;  // of resolv_conf, where that names the servers
  std::size_t rotation_ = 0;      // where the next question begins, with "rotate"
  struct Probe {
    SteadyTime next_at{};
    Handle question;
  };
  std::vector<Probe> probes_;  // the same
  bool resolv_conf_trusts_ad_ = false;
  std::uint64_t servers_version_ = 0;
  std::optional<FileMark> resolv_conf_;  // as last read
  bool resolv_conf_read_ = false;
  SteadyTime resolv_conf_look_at_{};

  event::SelfGuard guard_;
  std::unique_ptr<event::Timer> delivery_;
  Questions running_;
  Questions waiting_;                                 // for a place in flight, oldest first
  Questions ready_;                                   // with something to work on or to deliver
  std::list<Generation> generations_;                 // the last one is in use, the others drain
  std::list<std::unique_ptr<Channel>> tcp_channels_;  // one for each question over TCP
};

// One question, from the call to its callback.
class Client::Question final : public Query, public Channel::Asker {
 public:
  Question(Client& client, std::string name, RecordType type, AnyCallback callback,
           std::optional<Server> only)
      : client_(&client),
        name_(std::move(name)),
        type_(type),
        callback_(std::move(callback)),
        only_(only),
        deadline_(client.clock_.steady() + client.options_.timeout),
        deadline_when_crowded_(std::min(deadline_, client.clock_.steady() + kPatienceWhenCrowded)),
        refused_until_(client.clock_.steady() + kRefusedAgainFor),
        timer_(client.loop_.make_timer([this] { on_timer(); })) {}
  ~Question() override {
    if (client_ != nullptr) {
      client_->forget(*this);
    }
  }

  // Asks once more, whoever's turn it is, and waits; gives up if no server is left.
  void ask_next();
  bool may_ask() const;
  SteadyTime deadline() const { return client_->is_crowded() ? deadline_when_crowded_ : deadline_; }
  void arm_timer();
  // Goes on with what was noted; may call back.
  void proceed();
  void fail(ErrorKind kind, std::string detail) {
    outcome_ = failure(Error{kind, std::move(detail)});
  }
  void note(Channel::Attempt& attempt, Reading outcome) override;
  void note_truncated(Channel::Attempt& attempt) override;

 private:
  friend class Client;

  // A server that may yet answer, and how it is asked first.
  struct Candidate {
    std::size_t server;
    Way way;
    bool certain = false;  // that the ways before this one are no use
  };

  void ask(std::size_t server, Way way);
  bool is_asked(const Server& server, Way way) const;

  void on_timer();
  void choose_order();
  std::vector<Candidate>::iterator candidate(const Server& server);
  void take_off_the_round(const Server& server);
  void note_error(const Channel& channel, Error error);
  void ask_in_another_way(const Channel& channel, ErrorKind kind);
  void take(Reading reading);
  void take_provenance();
  void drop_attempts();
  void mark_suspects(const Channel::Attempt& answered);

  Client* client_;  // nullptr once there is nothing left to do
  std::string name_;
  RecordType type_;
  AnyCallback callback_;
  const std::optional<Server> only_;
  SteadyTime deadline_;
  SteadyTime deadline_when_crowded_;
  SteadyTime refused_until_;
  std::unique_ptr<event::Timer> timer_;

  Questions* list_ = nullptr;  // client_'s running_ or waiting_
  Questions::iterator place_;
  bool is_ready_ = false;
  Questions::iterator ready_place_;

  int hops_ = 0;
  Seconds ttl_limit_{std::numeric_limits<std::int32_t>::max()};
  std::uint64_t servers_version_ = 0;
  std::vector<Candidate> round_;  // of the servers of that version, in the order of asking
  std::size_t turn_ = 0;          // in the round; each server has kTurns
  int rounds_ = 0;                // that are over
  SteadyTime next_at_{};
  std::vector<Channel::Attempt*> attempts_;    // under way, in the order of their start
  std::vector<std::pair<Server, Way>> again_;  // to be asked at once
  std::optional<Reading> noted_;               // from a server, not an error
  std::optional<Error> last_error_;
  Provenance noted_provenance_;     // of noted_
  Provenance provenance_;           // of all the way
  std::optional<Reading> outcome_;  // for the callback
};

void Client::Question::choose_order() {
  if (servers_version_ == client_->servers_version_) {
    return;
  }
  servers_version_ = client_->servers_version_;
  turn_ = 0;
  rounds_ = 0;
  round_.resize(client_->servers_.size());
  for (std::size_t i = 0; i < round_.size(); ++i) {
    round_[i] = {i, client_->first_way(i)};
  }
  if (client_->resolv_options_.rotate && !round_.empty()) {
    const auto first = client_->rotation_++ % round_.size();
    std::rotate(round_.begin(), round_.begin() + static_cast<std::ptrdiff_t>(first), round_.end());
  }
  if (only_) {
    std::erase_if(
        round_, [this](const Candidate& each) { return client_->servers_[each.server] != *only_; });
  }
  const SteadyTime now = client_->clock_.steady();
  std::stable_partition(round_.begin(), round_.end(), [&](const Candidate& each) {
    return client_->suspect_until_[each.server] <= now;
  });
}

// round_.end() also when the servers have changed since they were asked.
std::vector<Client::Question::Candidate>::iterator Client::Question::candidate(
    const Server& server) {
  if (servers_version_ != client_->servers_version_) {
    return round_.end();
  }
  return std::find_if(round_.begin(), round_.end(), [&](const Candidate& each) {
    return client_->servers_[each.server] == server;
  });
}

// The server has answered, or is to answer over TCP. If it was the last one asked, it is the next
// one's turn.
void Client::Question::take_off_the_round(const Server& server) {
  std::erase_if(attempts_, [&](Channel::Attempt* attempt) {
    const Channel& asked = *attempt->channel;
    if (asked.way() == Way::Tcp || asked.server() != server) {
      return false;
    }
    Channel::drop(*attempt);
    return true;
  });
  const auto place = candidate(server);
  if (place == round_.end()) {
    return;
  }
  const std::size_t its_turn = static_cast<std::size_t>(place - round_.begin()) * kTurns;
  if (turn_ > its_turn) {
    if (turn_ <= its_turn + kTurns) {
      next_at_ = client_->clock_.steady();
    }
    turn_ -= std::min(kTurns, turn_ - its_turn);
  }
  round_.erase(place);
}

void Client::Question::ask_next() {
  choose_order();
  if (!round_.empty()) {
    if (turn_ >= round_.size() * kTurns) {
      turn_ = 0;
      ++rounds_;
    }
    const ResolvOptions& options = client_->resolv_options_;
    if (options.attempts && rounds_ >= *options.attempts) {
      next_at_ = deadline_;  // asked often enough; an answer may yet come
      return arm_timer();
    }
    const Candidate& next = round_[turn_ / kTurns];
    const bool again = turn_ % kTurns != 0;
    const Milliseconds next_server_after = options.timeout.value_or(kNextServerAfter);
    const Milliseconds wait = again ? next_server_after - kAskAgainAfter : kAskAgainAfter;
    Way way = next.way;
    if (again && rounds_ > 0 && client_->tcp_channels_.size() < kMaxTcpInsteadOfUdp) {
      way = Way::Tcp;
    } else if (again && way == Way::Edns) {
      way = Way::Plain;
    }
    ++turn_;
    next_at_ = client_->clock_.steady() + wait * (1 << rounds_);
    ask(next.server, way);
    arm_timer();
    return;
  }
  if (!attempts_.empty() || noted_ || !again_.empty()) {
    return;  // an answer may yet come
  }
  const SteadyTime again = client_->clock_.steady() + kRefusedAgainAfter;
  if (last_error_ && last_error_->kind == ErrorKind::NoServer && again < refused_until_ &&
      again < deadline_ && !client_->servers_.empty()) {
    servers_version_ = 0;  // all servers again
    next_at_ = again;
    arm_timer();
    return;
  }
  outcome_ = failure(last_error_.value_or(Error{ErrorKind::NoServer, "there is no server"}));
  client_->ready(*this);
}

// What is left to ask: servers of the round, or all of them again after they have refused.
bool Client::Question::may_ask() const {
  return list_ == &client_->running_ && (!round_.empty() || attempts_.empty());
}

void Client::Question::arm_timer() {
  const SteadyTime last = deadline();
  const SteadyTime next = may_ask() ? std::min(last, next_at_) : last;
  timer_->arm(std::chrono::ceil<Milliseconds>(next - client_->clock_.steady()));
}

void Client::Question::note(Channel::Attempt& attempt, Reading outcome) {
  std::erase(attempts_, &attempt);
  if (!only_) {  // one that does not know the root is no worse for it
    client_->note_health(attempt.channel->server(), outcome ? nullptr : &outcome.error());
  }
  if (!outcome) {
    const ErrorKind kind = outcome.error().kind;
    note_error(*attempt.channel, std::move(outcome.error()));
    ask_in_another_way(*attempt.channel, kind);
  } else if (!noted_) {
    mark_suspects(attempt);
    if (const auto place = candidate(attempt.channel->server()); place != round_.end()) {
      client_->learn(place->server, attempt.channel->way(), place->certain);
    }
    noted_ = std::move(outcome);
    noted_provenance_ = std::move(attempt.provenance);
    noted_provenance_.server = attempt.channel->server().str();
    noted_provenance_.security =
        client_->security_of(attempt.channel->server(), noted_provenance_.authenticated);
  }
  client_->ready(*this);
}

// RFC 7766 section 5.
void Client::Question::note_truncated(Channel::Attempt& attempt) {
  std::erase(attempts_, &attempt);
  const Server server = attempt.channel->server();
  if (!is_asked(server, Way::Tcp)) {
    again_.emplace_back(server, Way::Tcp);
  }
  take_off_the_round(server);
  client_->ready(*this);
}

// That there is no TCP tells less than what was said over UDP.
void Client::Question::note_error(const Channel& channel, Error error) {
  if (last_error_ && channel.way() == Way::Tcp && error.kind == ErrorKind::NoServer) {
    return;
  }
  last_error_ = std::move(error);
  last_error_->detail += " from " + channel.server().str();
}

// After an error of its server.
void Client::Question::ask_in_another_way(const Channel& channel, ErrorKind kind) {
  const Server& server = channel.server();
  const auto place = candidate(server);
  if (place == round_.end() || (channel.way() == Way::Tcp && place->way != Way::Tcp)) {
    return;
  }
  const auto other = other_way(channel.way(), kind);
  if (!other) {
    take_off_the_round(server);
    return;
  }
  place->certain = place->certain || kind != ErrorKind::ServFail;
  if (*other > place->way) {
    place->way = *other;
  }
  if (!is_asked(server, *other)) {
    again_.emplace_back(server, *other);
  }
}

// Whether an answer may yet come that way, or one that works more often.
bool Client::Question::is_asked(const Server& server, Way way) const {
  return std::any_of(attempts_.begin(), attempts_.end(),
                     [&](const Channel::Attempt* attempt) {
                       return attempt->channel->server() == server &&
                              attempt->channel->way() >= way;
                     }) ||
         std::find(again_.begin(), again_.end(), std::pair(server, way)) != again_.end();
}

void Client::Question::ask(std::size_t server, Way way) {
  if (way == Way::Tcp && is_asked(client_->servers_[server], way)) {
    return;
  }
  Channel* channel = client_->channel(server, way);
  if (channel == nullptr) {
    last_error_ = Error{ErrorKind::NoServer, "c-ares cannot be set up"};
    return;
  }
  auto attempt = std::make_unique<Channel::Attempt>();
  attempt->asker = this;
  attempt->name = name_;
  attempt->type = type_;
  attempts_.push_back(attempt.get());
  channel->ask(std::move(attempt));
}

void Client::Question::mark_suspects(const Channel::Attempt& answered) {
  for (const auto* silent : attempts_) {
    // The servers may have changed since it was asked.
    for (std::size_t i = 0; i < client_->servers_.size(); ++i) {
      const Server& server = client_->servers_[i];
      if (server == silent->channel->server() && server != answered.channel->server()) {
        client_->suspect_until_[i] = client_->clock_.steady() + kSuspectFor;
      }
    }
  }
}

void Client::Question::on_timer() {
  if (client_->clock_.steady() < deadline()) {
    if (may_ask() && client_->clock_.steady() >= next_at_) {
      ask_next();
    }
    arm_timer();
  } else if (!outcome_ && !noted_) {
    client_->use_other_sockets();
    outcome_ =
        failure(last_error_.value_or(Error{ErrorKind::Timeout, "no answer from any server"}));
    client_->ready(*this);
  }
  client_->deliver();  // Nothing may follow: it can destroy *this.
}

void Client::Question::proceed() {
  if (!outcome_ && noted_) {
    Reading reading = std::move(*noted_);
    noted_.reset();
    take(std::move(reading));
  } else if (!outcome_ && !again_.empty()) {
    for (const auto& [server, way] : std::exchange(again_, {})) {
      if (const auto index = client_->index_of(server)) {
        ask(*index, way);
      }
    }
    if (attempts_.empty()) {
      ask_next();
    }
    arm_timer();
  } else if (!outcome_ && list_ == &client_->running_) {  // after an error
    if (round_.empty() || client_->clock_.steady() >= next_at_) {
      ask_next();
    }
    arm_timer();
  }
  if (!outcome_) {
    return;
  }
  if (!*outcome_ && !only_) {
    ++client_->failures_[static_cast<std::size_t>(outcome_->error().kind)];
  }
  client_->forget(*this);
  const auto callback = std::move(callback_);
  callback(std::move(*outcome_),
           std::move(provenance_));  // Nothing may follow: it can destroy *this.
}

void Client::Question::take_provenance() {
  auto& chain = provenance_.chain;
  chain.insert(chain.end(), noted_provenance_.chain.begin(), noted_provenance_.chain.end());
  provenance_.authenticated =
      noted_provenance_.authenticated && (hops_ == 0 || provenance_.authenticated);
  provenance_.security = hops_ == 0 ? noted_provenance_.security
                                    : combined(provenance_.security, noted_provenance_.security);
  provenance_.no_such_name = noted_provenance_.no_such_name;
  provenance_.server = std::move(noted_provenance_.server);
}

void Client::Question::take(Reading reading) {
  drop_attempts();
  take_provenance();
  const auto limited = [this](Seconds ttl) { return std::min(ttl, ttl_limit_); };
  if (auto* alias = std::get_if<Alias>(&*reading)) {
    if (++hops_ > kMaxHops) {
      return fail(ErrorKind::Malformed, "too many CNAMEs");
    }
    // c-ares 1.18 cannot ask for a name with escapes.
    if (alias->target.empty() || alias->target.find('\\') != std::string::npos) {
      return fail(ErrorKind::Malformed, "a CNAME to something that is not a host name");
    }
    ttl_limit_ = limited(alias->ttl);
    name_ = std::move(alias->target);
    servers_version_ = 0;  // all servers again
    ask_next();
    return;
  }
  std::visit(
      [&](auto& found) {
        if constexpr (requires { found.negative_ttl; }) {
          found.negative_ttl = limited(found.negative_ttl);
        } else {
          found.ttl = limited(found.ttl);
        }
      },
      *reading);
  outcome_ = std::move(reading);
}

void Client::Question::drop_attempts() {
  for (auto* attempt : attempts_) {
    Channel::drop(*attempt);
  }
  attempts_.clear();
}

Client::~Client() {
  Questions all;
  all.splice(all.end(), running_);
  all.splice(all.end(), waiting_);
  all.insert(all.end(), ready_.begin(), ready_.end());  // some for the second time
  for (auto* question : all) {
    question->drop_attempts();
    question->client_ = nullptr;
    question->timer_.reset();
  }
}

Handle Client::ask_any(const std::string& name, RecordType type, AnyCallback callback) {
  look_at_resolv_conf();
  if (type == RecordType::Mx || type == RecordType::Tlsa) {
    probe_servers();
  }
  return begin(name, type, std::move(callback), std::nullopt);
}

Handle Client::begin(const std::string& name, RecordType type, AnyCallback callback,
                     std::optional<Server> only) {
  auto question = std::make_unique<Question>(*this, name, type, std::move(callback), only);
  if (waiting_.empty() && has_place()) {
    start(*question);
  } else if (waiting_.size() < kMaxWaiting) {
    question->list_ = &waiting_;
    question->place_ = waiting_.insert(waiting_.end(), question.get());
    question->arm_timer();
  } else {
    question->fail(ErrorKind::TooMany, "too many lookups are in progress");
    ready(*question);
  }
  if (!ready_.empty()) {
    delivery_->arm(Milliseconds(0));
  }
  return question;
}

void Client::start(Question& question) {
  if (generations_.back().questions >= kQuestionsPerPort) {
    new_generation();
  }
  question.list_ = &running_;
  question.place_ = running_.insert(running_.end(), &question);
  question.ask_next();
}

void Client::admit() {
  while (!waiting_.empty() && has_place()) {
    Question& question = *waiting_.front();
    waiting_.pop_front();
    start(question);
  }
}

void Client::ready(Question& question) {
  if (question.is_ready_) {
    return;
  }
  question.is_ready_ = true;
  question.ready_place_ = ready_.insert(ready_.end(), &question);
}

// Each question that is ready when the call begins gets one step; the rest waits a turn, so
// that questions asked by callbacks cannot hold the loop.
void Client::deliver() {
  event::SelfGuard::Watch watch(guard_);
  for (std::size_t left = ready_.size(); left > 0 && !ready_.empty(); --left) {
    Question& question = *ready_.front();
    ready_.pop_front();
    question.is_ready_ = false;
    question.proceed();
    if (watch.destroyed()) {
      return;
    }
  }
  admit();
  sweep();
  if (!ready_.empty()) {
    delivery_->arm(Milliseconds(0));
  }
}

void Client::forget(Question& question) {
  question.drop_attempts();
  question.client_ = nullptr;
  question.timer_->cancel();
  if (question.list_ != nullptr) {
    question.list_->erase(question.place_);
  }
  if (question.is_ready_) {
    ready_.erase(question.ready_place_);
  }
  const bool can_admit = !waiting_.empty() && has_place();
  const bool can_sweep = generations_.size() > 1 || !tcp_channels_.empty();
  if (can_admit || can_sweep) {
    delivery_->arm(Milliseconds(0));
  }
}

void Client::reconfigure(AresOptions options) {
  options_ = std::move(options);
  resolv_conf_read_ = false;
  resolv_conf_look_at_ = {};
  servers_.clear();
  if (options_.servers.empty()) {
    look_at_resolv_conf();
  } else {
    resolv_options_ = {};
    use_servers(parse_all(options_.servers));
  }
}

void Client::look_at_resolv_conf() {
  const SteadyTime now = clock_.steady();
  if (!options_.servers.empty() || now < resolv_conf_look_at_) {
    return;
  }
  resolv_conf_look_at_ = now + kLookAtResolvConfEvery;
  const auto mark = mark_of(options_.resolv_conf);
  if (resolv_conf_read_ && mark == resolv_conf_) {
    return;
  }
  resolv_conf_read_ = true;
  resolv_conf_ = mark;
  std::ifstream file(options_.resolv_conf);
  if (!file) {
    log_.write(Event::ResolvConfUnreadable, {{"path", options_.resolv_conf}});
    // The servers of before are the better guess; at the start it is the one on this host.
    if (servers_.empty()) {
      use_servers(parse_resolv_conf(""));
    }
    return;
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  resolv_conf_trusts_ad_ = resolv_conf_trusts_ad(text);
  // A file being written anew is empty for a moment.
  if (text.find("nameserver") == std::string::npos && !servers_.empty()) {
    return;
  }
  resolv_options_ = parse_resolv_options(text);
  auto servers = parse_resolv_conf(text);
  if (servers != servers_) {
    use_servers(std::move(servers));
  }
}

void Client::use_servers(std::vector<Server> servers) {
  servers_ = std::move(servers);
  suspect_until_.assign(servers_.size(), SteadyTime{});
  health_.assign(servers_.size(), ServerHealth{});
  habits_.assign(servers_.size(), Habit{});
  ++servers_version_;
  const auto text = [](const Server& server) { return server.str(); };
  log_.write(Event::DnsServers, {{"servers", joined(servers_, " ", text)}});
  new_generation();
  probes_.clear();
  probes_.resize(servers_.size());
  probe_servers();
}

void Client::new_generation() {
  Generation generation;
  generation.channels.resize(servers_.size());
  generations_.push_back(std::move(generation));
  sweep();
}

// A socket keeps the address that this host had when it was connected. After a question without an
// answer the next ones get new ones.
void Client::use_other_sockets() {
  if (generations_.back().questions > 0) {
    new_generation();
  }
}

// For one more question. Over TCP the connection is for this question alone: one that breaks breaks
// no other. nullptr when c-ares cannot be set up.
Channel* Client::channel(std::size_t server, Way way) {
  const auto make = [&] {
    return Channel::make(loop_, *this, servers_[server], way, options_.timeout);
  };
  if (way == Way::Tcp) {
    auto channel = make();
    return channel ? tcp_channels_.emplace_back(std::move(channel)).get() : nullptr;
  }
  Generation& generation = generations_.back();
  ++generation.questions;
  auto& place =
      way == Way::Edns ? generation.channels[server].edns : generation.channels[server].plain;
  if (!place) {
    place = make();
  }
  return place.get();
}

Way Client::first_way(std::size_t server) const {
  if (resolv_options_.use_vc) {
    return Way::Tcp;
  }
  const Habit& habit = habits_[server];
  return clock_.steady() < habit.until ? habit.way : Way::Edns;
}

// The server has answered in this way, after the ways before it brought nothing. RFC 6891 section
// 7: what a server does not support may be remembered, and is to be tried again in time.
void Client::learn(std::size_t server, Way way, bool certain) {
  Habit& habit = habits_[server];
  if (way == first_way(server)) {
    habit.hints = 0;
    return;
  }
  habit.hints = way == habit.hint ? habit.hints + 1 : 1;
  habit.hint = way;
  if (certain || habit.hints >= kSilencesToLearn) {
    habit = Habit{way, clock_.steady() + kWayKeptFor, way, 0};
  }
}

std::optional<std::size_t> Client::index_of(const Server& server) const {
  const auto it = std::find(servers_.begin(), servers_.end(), server);
  return it == servers_.end() ? std::nullopt
                              : std::optional(static_cast<std::size_t>(it - servers_.begin()));
}

void Client::sweep() {
  for (auto old = generations_.begin(); old != std::prev(generations_.end());) {
    old = old->idle() ? generations_.erase(old) : std::next(old);
  }
  tcp_channels_.remove_if([](const auto& channel) { return channel->idle(); });
}

void Client::note_health(const Server& server, const Error* error) {
  const auto index = index_of(server);
  if (!index) {
    return;  // the servers have changed since it was asked
  }
  ServerHealth& health = health_[*index];
  ++(error == nullptr ? health.answers : health.errors);
  health.last_error = error == nullptr ? std::string() : error->detail;
}

bool Client::trusted(const Server& server) const {
  return is_loopback(server.address) || options_.trust_ad ||
         (options_.servers.empty() && resolv_conf_trusts_ad_);
}

Security Client::security_of(const Server& server, bool authenticated) const {
  if (!trusted(server)) {
    return Security::Untrusted;
  }
  if (authenticated) {
    return Security::Secure;
  }
  const auto it = std::find(servers_.begin(), servers_.end(), server);
  const auto validates = it == servers_.end()
                             ? std::nullopt
                             : health_[static_cast<std::size_t>(it - servers_.begin())].validates;
  if (!validates) {
    return Security::Unknown;
  }
  return *validates ? Security::Insecure : Security::NotValidating;
}

// The root is signed, so a server that does not vouch for it vouches for nothing.
void Client::probe_servers() {
  if (!options_.probe_dnssec) {
    return;
  }
  const SteadyTime now = clock_.steady();
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (now < probes_[i].next_at) {
      continue;
    }
    probes_[i].next_at = now + kProbeAgainSoon;
    probes_[i].question = begin(
        ".", RecordType::Soa,
        [this, server = servers_[i]](const Reading& reading, const Provenance& provenance) {
          on_probe(server, reading, provenance.authenticated);
        },
        servers_[i]);
  }
}

void Client::on_probe(const Server& server, const Reading& reading, bool authenticated) {
  const auto it = std::find(servers_.begin(), servers_.end(), server);
  if (!reading || it == servers_.end()) {
    return;  // it is asked again
  }
  const auto i = static_cast<std::size_t>(it - servers_.begin());
  health_[i].validates = authenticated;
  if (authenticated) {
    probes_[i].next_at = clock_.steady() + kProbeAgain;
  }
}

std::vector<AresClient::ServerHealth> Client::health() const {
  std::vector<ServerHealth> all = health_;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].server = servers_[i].str();
    all[i].trusted = trusted(servers_[i]);
    all[i].asked_last = suspect_until_[i] > clock_.steady();
  }
  return all;
}

std::vector<std::string> Client::servers() const {
  std::vector<std::string> texts;
  for (const auto& server : servers_) {
    texts.push_back(server.str());
  }
  return texts;
}

}  // namespace

std::unique_ptr<AresClient> AresClient::make(event::Loop& loop, const Clock& clock, Log& log,
                                             AresOptions options) {
  return std::make_unique<Client>(loop, clock, log, std::move(options));
}

}  // namespace mtastsd::dns
