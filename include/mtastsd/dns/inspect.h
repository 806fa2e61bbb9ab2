#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "mtastsd/dns/dns_client.h"

namespace mtastsd::dns {

// How an answer came about: for reports, mail needs none of it.
struct Provenance {
  std::vector<std::string> chain;  // names that CNAMEs led to, in order
  // RFC 6840 section 5.8: the server says that it has validated all of it by DNSSEC. That is
  // worth as much as the server and the way to it.
  bool authenticated = false;
  bool no_such_name = false;  // NXDOMAIN, where there is no record
  std::string server;         // that answered, "addr:port"
};

struct Mx {
  std::uint16_t preference = 0;
  std::string host;  // as published, without the final dot; "." for none (RFC 7505)
};
struct MxRecords {
  std::vector<Mx> records;
  Seconds ttl{0};
};

// RFC 6698 section 2.1. Numbers as they are, known or not.
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

template <typename T>
struct Inspected {
  Answer<T> answer;
  Provenance provenance;
};
template <typename T>
using InspectedCallback = std::function<void(Inspected<T>)>;

// Questions that ask for DNSSEC's verdict (RFC 6840 section 5.7) and keep the way to the answer.
// The rules of DnsClient about callbacks and handles hold.
class Inspector {
 public:
  virtual ~Inspector() = default;
  virtual Handle inspect_txt(const std::string& name, InspectedCallback<TxtRecords> callback) = 0;
  virtual Handle inspect_a(const std::string& name, InspectedCallback<Addresses> callback) = 0;
  virtual Handle inspect_aaaa(const std::string& name, InspectedCallback<Addresses> callback) = 0;
  virtual Handle inspect_mx(const std::string& name, InspectedCallback<MxRecords> callback) = 0;
  virtual Handle inspect_tlsa(const std::string& name, InspectedCallback<TlsaRecords> callback) = 0;
};

}  // namespace mtastsd::dns
