// The message is taken apart by libresolv (<arpa/nameser.h>). Records are visited in order,
// section by section, which keeps libresolv's access linear; the answer section is visited
// twice, for the CNAMEs and then for the records at the end of their chain, so that no index
// over a section of unknown size is needed.

#include "message.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <arpa/nameser.h>
#include <netinet/in.h>

#include "mtastsd/base/ascii.h"

namespace mtastsd::dns {

namespace {

struct Cname {
  std::string owner;
  std::string target;
  Seconds ttl{0};
};

struct Chain {
  std::string name;  // where it ends
  Seconds ttl{std::numeric_limits<std::int32_t>::max()};
  std::size_t length = 0;
};

struct Authority {
  bool has_soa = false;
  bool has_ns = false;
  Seconds negative_ttl{0};
};

tl::unexpected<Error> malformed(std::string detail) {
  return failure(Error{ErrorKind::Malformed, std::move(detail)});
}

// RFC 2181 section 8: a TTL with the top bit set counts as zero.
Seconds ttl_of(std::uint32_t ttl) {
  return Seconds(ttl > 0x7fffffffU ? 0 : ttl);
}

// libresolv writes the root as an empty name or a dot, depending on its version.
bool same_name(std::string_view a, std::string_view b) {
  return equal_ignoring_case(a == "." ? "" : a, b == "." ? "" : b);
}

std::span<const unsigned char> rdata_of(const ns_rr& rr) {
  return {ns_rr_rdata(rr), static_cast<std::size_t>(ns_rr_rdlen(rr))};
}

class Reader {
 public:
  Reader(std::span<const unsigned char> message, std::string_view name, RecordType type,
         Provenance* provenance)
      : message_(message), name_(name), type_(type), provenance_(provenance) {
    if (name_.size() > 1 && name_.ends_with('.')) {
      name_.remove_suffix(1);
    }
  }

  Reading read() {
    if (ns_initparse(message_.data(), static_cast<int>(message_.size()), &handle_) != 0) {
      return malformed("the message cannot be parsed");
    }
    if (auto error = check_header()) {
      return failure(std::move(*error));
    }
    auto chain = follow_chain();
    if (!chain) {
      return failure(std::move(chain.error()));
    }
    auto records = collect_wanted(*chain);
    if (!records) {
      return failure(std::move(records.error()));
    }
    if (provenance_ != nullptr) {
      provenance_->authenticated = ns_msg_getflag(handle_, ns_f_ad) != 0;
      provenance_->no_such_name = ns_msg_getflag(handle_, ns_f_rcode) == ns_r_nxdomain;
    }
    if (*records) {
      return std::move(**records);
    }
    return nothing_found(*chain);
  }

 private:
  static std::optional<Error> problem_of_rcode(int rcode) {
    switch (rcode) {
      case ns_r_noerror:
      case ns_r_nxdomain:
        return std::nullopt;
      case ns_r_servfail:
        return Error{ErrorKind::ServFail, "SERVFAIL"};
      case ns_r_formerr:
        return Error{ErrorKind::NotUnderstood, "FORMERR"};
      case ns_r_notimpl:
        return Error{ErrorKind::NotUnderstood, "NOTIMP"};
      case ns_r_refused:
        return Error{ErrorKind::Refused, "REFUSED"};
      default:
        return Error{ErrorKind::Refused, "rcode " + std::to_string(rcode)};
    }
  }

  std::optional<Error> check_header() {
    if (ns_msg_getflag(handle_, ns_f_qr) == 0 ||
        ns_msg_getflag(handle_, ns_f_opcode) != ns_o_query) {
      return Error{ErrorKind::Malformed, "the message is not a response to a query"};
    }
    const auto rcode_problem = problem_of_rcode(ns_msg_getflag(handle_, ns_f_rcode));
    // RFC 6891 section 7: a server that does not know EDNS can answer with the header alone.
    if (ns_msg_count(handle_, ns_s_qd) == 0 && rcode_problem) {
      return rcode_problem;
    }
    ns_rr question;
    if (ns_msg_count(handle_, ns_s_qd) != 1 || ns_parserr(&handle_, ns_s_qd, 0, &question) != 0 ||
        !same_name(ns_rr_name(question), name_) ||
        ns_rr_type(question) != static_cast<unsigned>(type_) || ns_rr_class(question) != ns_c_in) {
      return Error{ErrorKind::Malformed, "the response is to another question"};
    }
    if (rcode_problem) {
      return rcode_problem;
    }
    // What was cut off could be the second TXT record that makes the first one void.
    if (ns_msg_getflag(handle_, ns_f_tc) != 0) {
      return Error{ErrorKind::Malformed, "the response is truncated"};
    }
    return std::nullopt;
  }

  Result<Chain, Error> follow_chain() {
    std::vector<Cname> cnames;
    for (int i = 0; i < ns_msg_count(handle_, ns_s_an); ++i) {
      ns_rr rr;
      if (ns_parserr(&handle_, ns_s_an, i, &rr) != 0) {
        return malformed("bad record in the answer");
      }
      if (ns_rr_type(rr) != ns_t_cname || ns_rr_class(rr) != ns_c_in) {
        continue;
      }
      if (cnames.size() == kMaxChain) {
        return malformed("too many CNAMEs");
      }
      char target[NS_MAXDNAME];
      if (ns_name_uncompress(ns_msg_base(handle_), ns_msg_end(handle_), ns_rr_rdata(rr), target,
                             sizeof target) < 0) {
        return malformed("bad CNAME");
      }
      cnames.push_back({ns_rr_name(rr), target, ttl_of(ns_rr_ttl(rr))});
    }
    Chain chain{.name = std::string(name_)};
    for (;;) {
      const auto next = std::find_if(cnames.begin(), cnames.end(), [&](const Cname& c) {
        return equal_ignoring_case(c.owner, chain.name);
      });
      if (next == cnames.end()) {
        return chain;
      }
      if (++chain.length > cnames.size()) {
        return malformed("CNAME loop");
      }
      chain.name = next->target;
      if (provenance_ != nullptr) {
        provenance_->chain.push_back(chain.name);
      }
      chain.ttl = std::min(chain.ttl, next->ttl);
    }
  }

  using Collected = Result<std::optional<Reading::value_type>, Error>;

  Collected collect_wanted(const Chain& chain) {
    switch (type_) {
      case RecordType::Txt:
        return collect<TxtRecords>(chain);
      case RecordType::Mx:
        return collect<MxRecords>(chain);
      case RecordType::Tlsa:
        return collect<TlsaRecords>(chain);
      case RecordType::Soa:
        return collect<SoaRecord>(chain);
      case RecordType::A:
      case RecordType::Aaaa:
        break;
    }
    return collect<Addresses>(chain);
  }

  // The records of the wanted type at the end of the chain; nullopt when there are none.
  template <typename Records>
  Collected collect(const Chain& chain) {
    Records records;
    records.ttl = chain.ttl;
    bool found = false;
    for (int i = 0; i < ns_msg_count(handle_, ns_s_an); ++i) {
      ns_rr rr;
      if (ns_parserr(&handle_, ns_s_an, i, &rr) != 0) {
        return malformed("bad record in the answer");
      }
      if (ns_rr_type(rr) != static_cast<unsigned>(type_) || ns_rr_class(rr) != ns_c_in ||
          !same_name(ns_rr_name(rr), chain.name)) {
        continue;
      }
      found = true;
      records.ttl = std::min(records.ttl, ttl_of(ns_rr_ttl(rr)));
      if (!add(rdata_of(rr), records)) {
        return malformed("bad record data in the answer");
      }
    }
    if (!found) {
      return std::nullopt;
    }
    return records;
  }

  // RFC 1035 section 3.3.9: the preference, then a name that may be compressed.
  bool add(std::span<const unsigned char> rdata, MxRecords& mx) const {
    char host[NS_MAXDNAME];
    if (rdata.size() <= NS_INT16SZ ||
        ns_name_uncompress(ns_msg_base(handle_), rdata.data() + rdata.size(),
                           rdata.data() + NS_INT16SZ, host, sizeof host) < 0) {
      return false;
    }
    mx.records.push_back({static_cast<std::uint16_t>(ns_get16(rdata.data())),
                          host[0] == '\0' ? std::string(".") : std::string(host)});
    return true;
  }

  static bool add(std::span<const unsigned char> rdata, SoaRecord& /*soa*/) {
    return soa_minimum(rdata).has_value();
  }

  // RFC 6698 section 2.1.
  static bool add(std::span<const unsigned char> rdata, TlsaRecords& tlsa) {
    constexpr std::size_t kHead = 3;
    if (rdata.size() <= kHead) {
      return false;
    }
    tlsa.records.push_back(
        {rdata[0], rdata[1], rdata[2],
         std::string(reinterpret_cast<const char*>(rdata.data()) + kHead, rdata.size() - kHead)});
    return true;
  }

  // RFC 8461 section 3.1: the strings of one record are joined without spaces.
  static bool add(std::span<const unsigned char> rdata, TxtRecords& texts) {
    std::string joined;
    joined.reserve(rdata.size());
    while (!rdata.empty()) {
      const std::size_t length = rdata[0];
      if (length >= rdata.size()) {
        return false;
      }
      joined.append(reinterpret_cast<const char*>(rdata.data()) + 1, length);
      rdata = rdata.subspan(1 + length);
    }
    texts.records.push_back(std::move(joined));
    return true;
  }

  bool add(std::span<const unsigned char> rdata, Addresses& addresses) const {
    if (type_ == RecordType::A) {
      in_addr address;
      if (rdata.size() != sizeof address) {
        return false;
      }
      std::memcpy(&address, rdata.data(), sizeof address);
      addresses.addresses.push_back(IpAddress::v4(address));
    } else {
      in6_addr address;
      if (rdata.size() != sizeof address) {
        return false;
      }
      std::memcpy(&address, rdata.data(), sizeof address);
      addresses.addresses.push_back(IpAddress::v6(address));
    }
    return true;
  }

  // What makes a message without the wanted records something else than a denial. A forwarder that
  // moves records between the sections of a message makes such messages, and to take one for a
  // denial would hide the record (RFC 2308 section 2).
  std::optional<Error> blemish(const Chain& chain) {
    for (const ns_sect section : {ns_s_an, ns_s_ns, ns_s_ar}) {
      for (int i = 0; i < ns_msg_count(handle_, section); ++i) {
        ns_rr rr;
        if (ns_parserr(&handle_, section, i, &rr) != 0) {
          return Error{ErrorKind::Malformed, "bad record beside a denial"};
        }
        if (auto problem = blemish(section, rr, chain)) {
          return problem;
        }
      }
    }
    return std::nullopt;
  }

  std::optional<Error> blemish(ns_sect section, const ns_rr& rr, const Chain& chain) const {
    const auto type = ns_rr_type(rr);
    if (type == ns_t_opt) {
      if (section != ns_s_ar) {
        return Error{ErrorKind::Malformed, "mangled: OPT is not in the additional section"};
      }
      // RFC 6891 section 6.1.3: the upper eight bits of the rcode.
      if (const auto upper = ns_rr_ttl(rr) >> 24; upper != 0) {
        return Error{ErrorKind::NotUnderstood, "extended rcode " + std::to_string(upper * 16)};
      }
      return std::nullopt;
    }
    const bool part_of_an_alias = type == ns_t_cname || type == ns_t_dname || type == ns_t_rrsig;
    if (section == ns_s_an && !part_of_an_alias) {
      return Error{ErrorKind::Malformed, "mangled: a stray record stands in the answer"};
    }
    // An SOA stands beside a denial, whatever was asked for.
    if (section != ns_s_an && type != ns_t_soa && type == static_cast<unsigned>(type_) &&
        equal_ignoring_case(ns_rr_name(rr), chain.name)) {
      return Error{ErrorKind::Malformed, "mangled: the record stands outside the answer"};
    }
    return std::nullopt;
  }

  Reading nothing_found(const Chain& chain) {
    if (auto problem = blemish(chain)) {
      return failure(*std::move(problem));
    }
    const auto authority = read_authority();
    if (!authority) {
      return failure(authority.error());
    }
    const NoSuchRecord no_such{std::min(authority->negative_ttl, chain.ttl)};
    // RFC 2308 section 2.1: with a CNAME in the answer, NXDOMAIN is about its last target.
    if (ns_msg_getflag(handle_, ns_f_rcode) == ns_r_nxdomain || authority->has_soa) {
      return no_such;
    }
    if (chain.length > 0) {
      return Alias{chain.name, chain.ttl};
    }
    // RFC 2308 section 2.2: name servers without a SOA are a referral, not "no such record".
    if (authority->has_ns) {
      return failure(Error{ErrorKind::Refused, "a referral: the server does not recurse"});
    }
    return no_such;
  }

  Result<Authority, Error> read_authority() {
    Authority authority;
    for (int i = 0; i < ns_msg_count(handle_, ns_s_ns); ++i) {
      ns_rr rr;
      if (ns_parserr(&handle_, ns_s_ns, i, &rr) != 0) {
        return malformed("bad authority record");
      }
      if (ns_rr_class(rr) != ns_c_in) {
        continue;
      }
      if (ns_rr_type(rr) == ns_t_ns) {
        authority.has_ns = true;
      }
      if (ns_rr_type(rr) != ns_t_soa || authority.has_soa) {
        continue;
      }
      const auto minimum = soa_minimum(rdata_of(rr));
      if (!minimum) {
        return malformed("bad SOA");
      }
      authority.has_soa = true;
      // RFC 2308 section 5: the smaller of the SOA's own TTL and its MINIMUM field.
      authority.negative_ttl = std::min(ttl_of(ns_rr_ttl(rr)), *minimum);
    }
    return authority;
  }

  // Two names, then five numbers of 32 bits; MINIMUM is the last (RFC 1035 section 3.3.13).
  static std::optional<Seconds> soa_minimum(std::span<const unsigned char> rdata) {
    const unsigned char* at = rdata.data();
    const unsigned char* const end = at + rdata.size();
    if (ns_name_skip(&at, end) != 0 || ns_name_skip(&at, end) != 0 || end - at != 5 * NS_INT32SZ) {
      return std::nullopt;
    }
    return ttl_of(static_cast<std::uint32_t>(ns_get32(end - NS_INT32SZ)));
  }

  std::span<const unsigned char> message_;
  std::string_view name_;
  RecordType type_;
  Provenance* provenance_;
  ns_msg handle_{};
};

}  // namespace

Reading read_message(std::span<const unsigned char> message, std::string_view name, RecordType type,
                     Provenance* provenance) {
  if (message.size() > NS_MAXMSG) {
    return malformed("the message is too long");
  }
  return Reader(message, name, type, provenance).read();
}

}  // namespace mtastsd::dns
