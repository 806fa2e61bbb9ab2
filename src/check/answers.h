#pragma once

#include <vector>

#include "mtastsd/check/facts.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/dns/dns_client.h"

namespace mtastsd::check {

// From answers of DNS to facts: an error is never taken for "there is none".

Fact<TextRecords> text_fact(dns::TxtAnswer answer);

// What DNS said of both families; at most discovery::kMaxAddressesPerFamily addresses of each.
Fact<AddressRecords> address_fact(const discovery::HostAddresses& addresses);

Fact<std::vector<dns::Tlsa>> tlsa_fact(dns::Answer<dns::TlsaRecords> answer);

}  // namespace mtastsd::check
