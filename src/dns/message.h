#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/dns/dns_client.h"

namespace mtastsd::dns {

enum class RecordType : std::uint16_t { A = 1, Soa = 6, Mx = 15, Txt = 16, Aaaa = 28, Tlsa = 52 };

// The answer ends in a CNAME, and the server did not say what stands at its target.
struct Alias {
  std::string target;
  Seconds ttl{0};  // smallest of the chain so far
};

using Reading = Result<
    std::variant<TxtRecords, Addresses, NoSuchRecord, Alias, MxRecords, TlsaRecords, SoaRecord>,
    Error>;

// Longest CNAME chain within one answer.
inline constexpr std::size_t kMaxChain = 16;

// Reads the response to the question (name, type, IN) out of a DNS message (RFC 1035 section
// 4). Pure; work and memory are linear in the message. `name` may end in a dot. `provenance`:
// where to note what only reports want to know, unless the answer is an error.
Reading read_message(std::span<const unsigned char> message, std::string_view name, RecordType type,
                     Provenance* provenance = nullptr);

}  // namespace mtastsd::dns
