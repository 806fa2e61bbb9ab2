#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/base/result.h"

namespace mtastsd::dns {

// Why DNS gave no answer. None of these means that there is no record.
enum class ErrorKind {
  Timeout,        // no server answered in time
  ServFail,       // SERVFAIL from the last server asked
  Refused,        // REFUSED and other codes that do not answer the question
  NotUnderstood,  // FORMERR, NOTIMP or BADVERS, to questions without EDNS and over TCP as well
  Malformed,      // an answer that cannot be read or was mangled on its way, or a CNAME loop
  NoServer,       // no server reachable (connection refused, no network)
  TooMany,        // our own bound on lookups in flight
};
inline constexpr std::size_t kErrorKinds = 7;

struct Error {
  ErrorKind kind = ErrorKind::Timeout;
  std::string detail;
};

std::string describe(const Error& error);  // for people: "timeout: ..."

// TXT: one entry for each record, with its strings joined without spaces (RFC 8461 section 3.1).
struct TxtRecords {
  std::vector<std::string> records;
  Seconds ttl{0};  // the smallest TTL of the records and of the CNAMEs that led to them
};

struct Addresses {
  std::vector<IpAddress> addresses;
  Seconds ttl{0};
};

struct Mx {
  std::uint16_t preference = 0;
  std::string host;  // as published, without the final dot; "." for none (RFC 7505)
};
struct MxRecords {
  std::vector<Mx> records;
  Seconds ttl{0};
};

// RFC 6698 section 2.1. Unknown numbers are kept too.
struct Tlsa {
  std::uint8_t usage = 0;
  std::uint8_t selector = 0;
  std::uint8_t matching = 0;
  std::string data;  // bytes
};
struct TlsaRecords {
  std::vector<Tlsa> records;
  Seconds ttl{0};
};

// What is of interest is whether DNSSEC vouches for it.
struct SoaRecord {
  Seconds ttl{0};
};

// There is no such name (NXDOMAIN), or it has no record of the type (NODATA).
struct NoSuchRecord {
  Seconds negative_ttl{0};  // RFC 2308 section 5, min(SOA TTL, SOA minimum); 0 without a SOA
};

// What DNSSEC says of an answer, as far as this host may believe it. The AD bit is as trustworthy
// as the server and the path to it, so it counts only from a server on this host, or from one of
// which the operator says so (RFC 6840 section 5.8, RFC 7672 section 1.1).
enum class Security {
  Unknown,        // it has not been found out whether the server validates
  Untrusted,      // the server's word does not count
  NotValidating,  // the server is known not to validate
  Insecure,       // from a server that validates, and not signed
  Secure,         // signed and validated, all of it
};

// How an answer came about.
struct Provenance {
  std::vector<std::string> chain;  // the names that CNAMEs led to, in order
  // RFC 6840 section 5.8: the server says that it has validated the whole answer by DNSSEC. This is
  // as trustworthy as the server and the path to it.
  bool authenticated = false;
  Security security = Security::Unknown;
  bool no_such_name = false;  // NXDOMAIN, if there is no record
  std::string server;         // the one that answered, "addr:port"
};

// Where the CNAMEs led if there is no record of `type` ("TXT"), for people: ": the CNAME leads to
// a.example, which does not exist". Empty without a CNAME.
std::string describe_dead_end(const Provenance& provenance, std::string_view type);

// The outcome of a lookup. `provenance` is empty for an error.
template <typename T>
struct Answer : Result<std::variant<T, NoSuchRecord>, Error> {
  using Result<std::variant<T, NoSuchRecord>, Error>::Result;
  Provenance provenance;
};

template <typename T>
using Callback = std::function<void(Answer<T>)>;

using TxtAnswer = Answer<TxtRecords>;
using AddressAnswer = Answer<Addresses>;

// A lookup in progress. Dropping it cancels the lookup, and the callback never runs.
class Query {
 public:
  virtual ~Query() = default;
};
using Handle = std::unique_ptr<Query>;

// Asks the configured recursive servers, and asks for the result of DNSSEC validation (RFC 6840
// section 5.7). A callback runs at most once, on the loop's thread, never before the call that
// started the lookup has returned, and never from a destructor. It may drop its own handle. Names
// are looked up as they are, without a search list. CNAMEs are followed up to a bound.
class DnsClient {
 public:
  virtual ~DnsClient() = default;
  virtual Handle txt(const std::string& name, Callback<TxtRecords> callback) = 0;
  virtual Handle a(const std::string& name, Callback<Addresses> callback) = 0;
  virtual Handle aaaa(const std::string& name, Callback<Addresses> callback) = 0;
  virtual Handle mx(const std::string& name, Callback<MxRecords> callback) = 0;
  virtual Handle tlsa(const std::string& name, Callback<TlsaRecords> callback) = 0;
};

}  // namespace mtastsd::dns
