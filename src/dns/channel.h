#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "message.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/event/loop.h"
#include "servers.h"

struct ares_channeldata;
struct ares_socket_functions;

namespace mtastsd::dns {

// How a question goes to a server. Each way works where the one before it may not: some forwarders
// and middleboxes choke on EDNS (RFC 6891 section 7), others on UDP as such. TCP is without EDNS.
enum class Way { Edns, Plain, Tcp };

// A c-ares channel with one server, on the loop, for one way of asking. c-ares sends each question
// once and waits for the answer; what to ask again, when, and which server next is the business of
// its user. So a SERVFAIL arrives here as what it is (c-ares 1.18 reports it as a refused
// connection once it has run out of servers), and a late answer still finds its socket (c-ares 1.34
// fits its timeouts to the latency it has seen, and closes the socket when the first of them is
// over). Nor does c-ares turn to TCP for truncated answers: a TCP connection that breaks fails all
// questions of its channel, so each such question gets a channel of its own.
class Channel {
 public:
  struct Attempt;

  // Gets the outcome of an attempt from within c-ares: may take note of it, no more.
  class Asker {
   public:
    virtual ~Asker() = default;
    virtual void note(Attempt& attempt, Reading outcome) = 0;
    // The answer did not fit into a datagram.
    virtual void note_truncated(Attempt& attempt) = 0;
  };

  // One question as given to c-ares, which keeps it until it has called back: when the answer or an
  // error comes, at the latest when the channel is destroyed.
  struct Attempt {
    Asker* asker = nullptr;  // nullptr once nobody wants the outcome any more: see drop()
    std::string name;
    RecordType type = RecordType::Txt;
    Channel* channel = nullptr;  // set by ask()
    Provenance provenance;
  };

  class Owner {
   public:
    virtual ~Owner() = default;
    // c-ares has returned; what was noted can be delivered. May destroy the channel.
    virtual void after_call() = 0;
  };

  // The asker's patience must not be longer than `patience`; who loses it drops the attempt.
  // nullptr when c-ares cannot be set up.
  static std::unique_ptr<Channel> make(event::Loop& loop, Owner& owner, const Server& server,
                                       Way way, Milliseconds patience);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // The asker may hear of the outcome before this returns. The owner need not be told.
  void ask(std::unique_ptr<Attempt> attempt);

  // The asker of `attempt` will not hear of it, and must not use it any more.
  static void drop(Attempt& attempt);

  // True while nobody waits for an answer.
  bool idle() const { return wanted_ == 0; }
  const Server& server() const { return server_; }
  Way way() const { return way_; }

 private:
  Channel(event::Loop& loop, Owner& owner, const Server& server, Way way);

  static const ares_socket_functions kZonedSockets;

  static void on_answer(void* arg, int status, int timeouts, unsigned char* packet,
                        int size) noexcept;
  void socket_state(int fd, bool readable, bool writable);
  void process(int fd, bool readable, bool writable);

  event::Loop& loop_;
  Owner& owner_;
  const Server server_;
  const Way way_;
  std::size_t wanted_ = 0;  // attempts with an asker
  std::map<int, std::unique_ptr<event::FdWatch>> watches_;
  ares_channeldata* ares_ = nullptr;  // depends-on: watches_
};

}  // namespace mtastsd::dns
