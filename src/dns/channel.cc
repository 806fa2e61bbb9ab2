// c-ares of Debian 12 is 1.18.1, of Debian 13 1.34; what only the later one has is guarded by
// its own macro. ares_query and its kin are marked deprecated there and keep working.

#define CARES_NO_DEPRECATED

#include "channel.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <sys/time.h>
#include <unistd.h>

#include <ares.h>
#include <arpa/nameser.h>

namespace mtastsd::dns {

namespace {

// RFC 9715 section 3.1: fits in a packet without fragments nearly everywhere.
constexpr int kUdpPayload = 1232;
constexpr int kReceiveBuffer = 1024 * 1024;
// A burst makes a socket's buffer run over, and what was lost is to be asked again while mail
// waits. A server at work on the answer is not hurt: it gets the same question once more.
constexpr Milliseconds kFirstUdpTry{500};
constexpr Milliseconds kTcpTry{1500};
constexpr int kQuestionsPerPort = 100;  // then another source port: harder to guess

#ifdef ARES_OPT_MAXTIMEOUTMS
// Newer releases fit the timeout to the latency they have seen, between these.
constexpr Milliseconds kShortestTry{250};
constexpr Milliseconds kLongestTry{1500};
#endif

// Try n lasts twice as long as try n - 1.
int tries_for(Milliseconds patience, Milliseconds one_try) {
  Milliseconds each = one_try;
#ifdef ARES_OPT_MAXTIMEOUTMS
  each = std::min(one_try, kShortestTry);
#endif
  int tries = 0;
  for (Milliseconds sum{0}; sum < patience && tries < 100; ++tries) {
    sum += each;
#ifdef ARES_OPT_MAXTIMEOUTMS
    each = std::min(each * 2, std::max(one_try, kLongestTry));
#else
    each *= 2;
#endif
  }
  return std::max(tries, 1);
}

// RFC 1035 section 4.1.1: the TC bit.
bool is_cut_short(const unsigned char* packet, int size) {
  return packet != nullptr && size > 2 && (packet[2] & 0x02) != 0;
}

// What c-ares says without an answer from the server.
Reading outcome_without_answer(int status) {
  switch (status) {
    case ARES_ENOTFOUND:  // c-ares does not ask for names under .onion (RFC 7686)
    case ARES_ENODATA:
      return NoSuchRecord{};
    case ARES_ETIMEOUT:
      return failure(Error{ErrorKind::Timeout, "no answer"});
    case ARES_ESERVFAIL:
      return failure(Error{ErrorKind::ServFail, "SERVFAIL"});
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
    case ARES_EFORMERR:
      return failure(Error{ErrorKind::Refused, ares_strerror(status)});
    case ARES_EBADRESP:
    case ARES_EBADNAME:
    case ARES_EBADQUERY:
      return failure(Error{ErrorKind::Malformed, ares_strerror(status)});
    default:
      return failure(Error{ErrorKind::NoServer, ares_strerror(status)});
  }
}

}  // namespace

Channel::Channel(event::Loop& loop, Owner& owner, const Server& server, Transport transport)
    : loop_(loop),
      owner_(owner),
      server_(server),
      transport_(transport),
      timer_(loop.make_timer([this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); })) {}

std::unique_ptr<Channel> Channel::make(event::Loop& loop, Owner& owner, const Server& server,
                                       Transport transport, Milliseconds patience) {
  std::unique_ptr<Channel> channel(new Channel(loop, owner, server, transport));
  const Milliseconds one_try = std::clamp(patience / 4, Milliseconds(20),
                                          transport == Transport::Tcp ? kTcpTry : kFirstUdpTry);
  ares_options options{};
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
             ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_RCVBUF | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
             ARES_OPT_RESOLVCONF;
  // NOCHECKRESP: SERVFAIL and its like come to the caller as they are. IGNTC: so do answers cut
  // short.
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP |
                  ARES_FLAG_EDNS |
                  (transport == Transport::Tcp ? ARES_FLAG_USEVC : ARES_FLAG_IGNTC);
  options.timeout = static_cast<int>(one_try.count());
  options.tries = tries_for(patience, one_try);
  options.ednspsz = kUdpPayload;
  options.socket_receive_buffer_size = kReceiveBuffer;
  char lookups[] = "b";  // DNS only, no hosts file
  options.lookups = lookups;
  char nothing[] = "/dev/null";
  options.resolvconf_path = nothing;
  options.sock_state_cb_data = channel.get();
  options.sock_state_cb = [](void* self, int fd, int readable, int writable) noexcept {
    static_cast<Channel*>(self)->socket_state(fd, readable != 0, writable != 0);
  };
#ifdef ARES_OPT_UDP_MAX_QUERIES
  mask |= ARES_OPT_UDP_MAX_QUERIES;
  options.udp_max_queries = kQuestionsPerPort;
#endif
#ifdef ARES_OPT_MAXTIMEOUTMS
  mask |= ARES_OPT_MAXTIMEOUTMS;
  options.maxtimeout = static_cast<int>(std::max(one_try, kLongestTry).count());
#endif
#ifdef ARES_OPT_QUERY_CACHE
  mask |= ARES_OPT_QUERY_CACHE;
  options.qcache_max_ttl = 0;  // every question is asked: the caller knows when it needs news
#endif
  if (ares_init_options(&channel->ares_, &options, mask) != ARES_SUCCESS) {
    channel->ares_ = nullptr;
    return nullptr;
  }
  if (ares_set_servers_ports_csv(channel->ares_, server.str().c_str()) != ARES_SUCCESS) {
    return nullptr;
  }
  return channel;
}

Channel::~Channel() {
  // Calls back for every attempt still pending and for every socket.
  if (ares_ != nullptr) ares_destroy(ares_);
}

std::uint64_t Channel::questions_per_channel() {
#ifdef ARES_OPT_UDP_MAX_QUERIES
  return std::numeric_limits<std::uint64_t>::max();
#else
  // This release keeps one source port as long as questions are under way.
  return kQuestionsPerPort;
#endif
}

void Channel::ask(std::unique_ptr<Attempt> attempt) {
  attempt->channel = this;
  ++pending_;
  if (attempt->inspect) {
    ask_authenticated(std::move(attempt));
    return;
  }
  const std::string name = attempt->name;
  const int type = static_cast<int>(attempt->type);
  ares_query(ares_, name.c_str(), ns_c_in, type, &Channel::on_answer, attempt.release());
  arm();
}

// RFC 6840 section 5.7: the AD bit in a query asks for the AD bit in the answer. ares_query sets
// no such bit, so the query is made here, its id included, which c-ares 1.18 takes as it is.
void Channel::ask_authenticated(std::unique_ptr<Attempt> attempt) {
  std::uint16_t id = 0;
  unsigned char* query = nullptr;
  int size = 0;
  if (getentropy(&id, sizeof id) != 0 ||
      ares_create_query(attempt->name.c_str(), ns_c_in, static_cast<int>(attempt->type), id, 1,
                        &query, &size, kUdpPayload) != ARES_SUCCESS) {
    on_answer(attempt.release(), ARES_EBADNAME, 0, nullptr, 0);
    return;
  }
  constexpr int kFlagsAt = 3;
  constexpr unsigned char kAuthenticData = 0x20;
  query[kFlagsAt] |= kAuthenticData;
  ares_send(ares_, query, size, &Channel::on_answer, attempt.release());
  ares_free_string(query);
  arm();
}

void Channel::on_answer(void* arg, int status, int, unsigned char* packet, int size) noexcept {
  const std::unique_ptr<Attempt> attempt(static_cast<Attempt*>(arg));
  --attempt->channel->pending_;
  // Nobody asks any more when the channel is destroyed: ARES_EDESTRUCTION ends here.
  if (attempt->asker == nullptr) return;
  if (attempt->channel->transport_ == Transport::Udp && is_cut_short(packet, size)) {
    attempt->asker->note_cut_short(*attempt);
    return;
  }
  attempt->asker->note(
      *attempt, packet != nullptr && size > 0
                    ? read_message({packet, static_cast<std::size_t>(size)}, attempt->name,
                                   attempt->type, attempt->inspect ? &attempt->provenance : nullptr)
                    : outcome_without_answer(status));
}

void Channel::socket_state(int fd, bool readable, bool writable) {
  if (!readable && !writable) {
    watches_.erase(fd);
    return;
  }
  const auto interest = static_cast<event::Interest>((readable ? 1U : 0U) | (writable ? 2U : 0U));
  auto& watch = watches_[fd];
  if (watch) {
    watch->set(interest);
    return;
  }
  watch = loop_.watch(fd, interest, [this, fd](event::Interest ready) {
    process(event::wants_read(ready) ? fd : ARES_SOCKET_BAD,
            event::wants_write(ready) ? fd : ARES_SOCKET_BAD);
  });
}

void Channel::process(int read_fd, int write_fd) {
  ares_process_fd(ares_, read_fd, write_fd);
  arm();
  owner_.after_call();  // Nothing may follow: it can destroy *this.
}

void Channel::arm() {
  timeval buffer{};
  const timeval* left = ares_timeout(ares_, nullptr, &buffer);
  if (left == nullptr) {
    timer_->cancel();
    return;
  }
  // Rounded up: a timer that comes too early makes c-ares do nothing.
  timer_->arm(Milliseconds(left->tv_sec * 1000 + (left->tv_usec + 999) / 1000));
}

}  // namespace mtastsd::dns
