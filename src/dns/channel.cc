// Debian 12 has c-ares 1.18.1, Debian 13 has 1.34; what only the later one has is guarded.
// ares_query and its kin are marked deprecated there and keep working.
//
// Of what 1.34 does on its own:
// - The query cache is turned off: who asks wants to know what the server says now.
// - Retries and their timeouts, server failover and its probes never happen: one server a channel,
//   one try, and timeouts are not looked at (ARES_PROCESS_FLAG_SKIP_NON_FD).
// - DNS cookies (RFC 7873) go out with EDNS over UDP and cannot be turned off apart from it. With
//   them an answer from off the path has 64 more bits to guess. Where a router mangles them, 1.34
//   hears no answer, and the question goes out again without EDNS and so without a cookie.
//
// FORMERR without a question and answers that c-ares cannot parse look like silence with 1.18, and
// like a broken connection with 1.34. Both end in the next way of asking.

#define CARES_NO_DEPRECATED

#include "channel.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <ares.h>
#include <arpa/nameser.h>

namespace mtastsd::dns {

namespace {

// RFC 9715 section 3.1: fits in a packet without fragments nearly everywhere.
constexpr int kUdpPayload = 1232;
constexpr int kReceiveBuffer = 1024 * 1024;
// c-ares 1.18 looks at its timeouts whenever it is called: this one must not come first.
constexpr Milliseconds kBeyondPatience{1000};

// RFC 1035 section 4.1.1: the TC bit.
bool is_truncated(const unsigned char* packet, int size) {
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
      return failure(Error{ErrorKind::Refused, ares_strerror(status)});
    case ARES_ENOTIMP:
    case ARES_EFORMERR:
      return failure(Error{ErrorKind::NotUnderstood, ares_strerror(status)});
    case ARES_EBADRESP:
    case ARES_EBADNAME:
    case ARES_EBADQUERY:
      return failure(Error{ErrorKind::Malformed, ares_strerror(status)});
    default:
      return failure(Error{ErrorKind::NoServer, ares_strerror(status)});
  }
}

}  // namespace

#if ARES_VERSION < 0x012200
// c-ares 1.18 does not know zones: it has to be told how to connect. Everything else is what it
// does by itself, but it leaves sockets that are not its own blocking.
const ares_socket_functions Channel::kZonedSockets = {
    [](int family, int type, int protocol, void* /*channel*/) noexcept -> ares_socket_t {
      return ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    },
    [](ares_socket_t socket, void* /*channel*/) noexcept { return ::close(socket); },
    [](ares_socket_t socket, const sockaddr* to, ares_socklen_t size, void* channel) noexcept {
      sockaddr_in6 zoned{};
      if (to->sa_family != AF_INET6 || size != sizeof zoned) {
        errno = EAFNOSUPPORT;
        return -1;
      }
      std::memcpy(&zoned, to, sizeof zoned);
      zoned.sin6_scope_id =
          ::if_nametoindex(static_cast<const Channel*>(channel)->server_.zone.c_str());
      return ::connect(socket, reinterpret_cast<const sockaddr*>(&zoned), sizeof zoned);
    },
    [](ares_socket_t socket, void* buffer, std::size_t size, int flags, sockaddr* from,
       ares_socklen_t* from_size, void* /*channel*/) noexcept -> ares_ssize_t {
      return ::recvfrom(socket, buffer, size, flags, from, from_size);
    },
    [](ares_socket_t socket, const iovec* parts, int count,
       void* /*channel*/) noexcept -> ares_ssize_t { return ::writev(socket, parts, count); }};
#endif

Channel::Channel(event::Loop& loop, Owner& owner, const Server& server, Way way)
    : loop_(loop), owner_(owner), server_(server), way_(way) {}

std::unique_ptr<Channel> Channel::make(event::Loop& loop, Owner& owner, const Server& server,
                                       Way way, Milliseconds patience) {
  std::unique_ptr<Channel> channel(new Channel(loop, owner, server, way));
  ares_options options{};
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
             ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_RCVBUF | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
             ARES_OPT_RESOLVCONF;
  // NOCHECKRESP: SERVFAIL and its like come to the caller as they are. IGNTC: so do truncated
  // answers.
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP |
                  (way == Way::Edns ? ARES_FLAG_EDNS : 0) |
                  (way == Way::Tcp ? ARES_FLAG_USEVC : ARES_FLAG_IGNTC);
  options.timeout = static_cast<int>((patience + kBeyondPatience).count());
  options.tries = 1;
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
#ifdef ARES_OPT_QUERY_CACHE
  mask |= ARES_OPT_QUERY_CACHE;
  options.qcache_max_ttl = 0;
#endif
  if (ares_init_options(&channel->ares_, &options, mask) != ARES_SUCCESS) {
    channel->ares_ = nullptr;
    return nullptr;
  }
  std::string address = server.IpEndpoint::str();
#if ARES_VERSION >= 0x012200
  if (!server.zone.empty()) {
    address += "%" + server.zone;  // after the port
  }
#else
  if (!server.zone.empty()) {
    ares_set_socket_functions(channel->ares_, &kZonedSockets, channel.get());
  }
#endif
  if (ares_set_servers_ports_csv(channel->ares_, address.c_str()) != ARES_SUCCESS) {
    return nullptr;
  }
  return channel;
}

Channel::~Channel() {
  // Calls back for every attempt that c-ares still has and for every socket.
  if (ares_ != nullptr) {
    ares_destroy(ares_);
  }
}

// RFC 6840 section 5.7: the AD bit in a query asks for the AD bit in the answer. ares_query sets
// no such bit, so the query is made here, its id included, which c-ares 1.18 takes as it is.
void Channel::ask(std::unique_ptr<Attempt> attempt) {
  attempt->channel = this;
  ++wanted_;
  std::uint16_t id = 0;
  unsigned char* query = nullptr;
  int size = 0;
  int status = ARES_EBADQUERY;
  if (getentropy(&id, sizeof id) == 0) {
    status = ares_create_query(attempt->name.c_str(), ns_c_in, static_cast<int>(attempt->type), id,
                               1, &query, &size, way_ == Way::Edns ? kUdpPayload : 0);
  }
  if (status != ARES_SUCCESS) {
    on_answer(attempt.release(), status, 0, nullptr, 0);
    return;
  }
  constexpr int kFlagsAt = 3;
  constexpr unsigned char kAuthenticData = 0x20;
  query[kFlagsAt] |= kAuthenticData;
  ares_send(ares_, query, size, &Channel::on_answer, attempt.release());
  ares_free_string(query);
}

void Channel::drop(Attempt& attempt) {
  attempt.asker = nullptr;
  --attempt.channel->wanted_;
}

void Channel::on_answer(void* arg, int status, int, unsigned char* packet, int size) noexcept {
  const std::unique_ptr<Attempt> attempt(static_cast<Attempt*>(arg));
  // So end ARES_EDESTRUCTION and what c-ares says of its own timeouts.
  if (attempt->asker == nullptr) {
    return;
  }
  --attempt->channel->wanted_;
  if (attempt->channel->way_ != Way::Tcp && is_truncated(packet, size)) {
    attempt->asker->note_truncated(*attempt);
    return;
  }
  attempt->asker->note(*attempt,
                       packet != nullptr && size > 0
                           ? read_message({packet, static_cast<std::size_t>(size)}, attempt->name,
                                          attempt->type, &attempt->provenance)
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
    process(fd, event::wants_read(ready), event::wants_write(ready));
  });
}

void Channel::process(int fd, bool readable, bool writable) {
#if ARES_VERSION >= 0x012200
  ares_fd_events_t events{fd, ARES_FD_EVENT_NONE};
  if (readable) {
    events.events |= ARES_FD_EVENT_READ;
  }
  if (writable) {
    events.events |= ARES_FD_EVENT_WRITE;
  }
  ares_process_fds(ares_, &events, 1, ARES_PROCESS_FLAG_SKIP_NON_FD);
#else
  ares_process_fd(ares_, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
#endif
  owner_.after_call();  // Nothing may follow: it can destroy *this.
}

}  // namespace mtastsd::dns
