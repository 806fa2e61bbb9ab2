#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "mtastsd/check/facts.h"
#include "mtastsd/dns/dns_client.h"

namespace mtastsd::check {

// From answers of DNS to facts: an error is never taken for "there is none".

inline constexpr std::size_t kMaxAddressesPerFamily = 8;

Fact<TextRecords> text_fact(dns::TxtAnswer answer);

// The two families of one name on their way to one fact.
struct Families {
  std::optional<dns::AddressAnswer> v4;
  std::optional<dns::AddressAnswer> v6;
};

// Of both, which have to be there.
Fact<AddressRecords> address_fact(Families families);

Fact<std::vector<dns::Tlsa>> tlsa_fact(dns::Answer<dns::TlsaRecords> answer);

}  // namespace mtastsd::check
