#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "mtastsd/check/facts.h"
#include "mtastsd/dns/inspect.h"

namespace mtastsd::check {

// From answers of DNS to facts: an error is never taken for "there is none".

inline constexpr std::size_t kMaxAddressesPerFamily = 8;
inline constexpr std::size_t kMaxRecords = 200;

Fact<TextRecords> text_fact(dns::Inspected<dns::TxtRecords> inspected);

// The two families of one name on their way to one fact.
struct Families {
  std::optional<dns::Inspected<dns::Addresses>> v4;
  std::optional<dns::Inspected<dns::Addresses>> v6;
};

// Of both, which have to be there.
Fact<AddressRecords> address_fact(Families families);

Fact<std::vector<dns::Tlsa>> tlsa_fact(dns::Inspected<dns::TlsaRecords> inspected);

}  // namespace mtastsd::check
