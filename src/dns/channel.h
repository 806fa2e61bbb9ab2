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

namespace mtastsd::dns {

// A c-ares channel with one server, on the loop, over UDP or TCP. c-ares sends again after a
// silence; which server is asked when is not its business, so that a SERVFAIL arrives here as
// what it is (c-ares 1.18 reports it as a refused connection once it has run out of servers).
// Nor is the turn to TCP for answers cut short: a TCP connection that breaks fails all
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
    virtual void note_cut_short(Attempt& attempt) = 0;
  };

  // One question as given to c-ares, which keeps it until it has called back, at the latest
  // when the channel is destroyed. Who does not want the outcome any more clears `asker`.
  struct Attempt {
    Asker* asker = nullptr;
    std::string name;
    RecordType type = RecordType::Txt;
    bool inspect = false;        // asks for DNSSEC's verdict, and fills `provenance`
    Channel* channel = nullptr;  // set by ask()
    Provenance provenance;
  };

  class Owner {
   public:
    virtual ~Owner() = default;
    // c-ares has returned; what was noted can be delivered. May destroy the channel.
    virtual void after_call() = 0;
  };

  // c-ares gives an attempt up after `patience` at the earliest, unless the server is known
  // to be unreachable. nullptr when c-ares cannot be set up.
  enum class Transport { Udp, Tcp };
  static std::unique_ptr<Channel> make(event::Loop& loop, Owner& owner, const Server& server,
                                       Transport transport, Milliseconds patience);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // The asker may hear of the outcome before this returns. The owner need not be told.
  void ask(std::unique_ptr<Attempt> attempt);

  bool idle() const { return pending_ == 0; }
  const Server& server() const { return server_; }

  // After how many questions a fresh channel is due, for the sake of a fresh source port.
  static std::uint64_t questions_per_channel();

 private:
  Channel(event::Loop& loop, Owner& owner, const Server& server, Transport transport);

  void ask_authenticated(std::unique_ptr<Attempt> attempt);
  static void on_answer(void* arg, int status, int timeouts, unsigned char* packet,
                        int size) noexcept;
  void socket_state(int fd, bool readable, bool writable);
  void process(int read_fd, int write_fd);
  void arm();

  event::Loop& loop_;
  Owner& owner_;
  const Server server_;
  const Transport transport_;
  std::size_t pending_ = 0;
  std::unique_ptr<event::Timer> timer_;
  std::map<int, std::unique_ptr<event::FdWatch>> watches_;
  ares_channeldata* ares_ = nullptr;  // depends-on: timer_, watches_
};

}  // namespace mtastsd::dns
