#include "answers.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace mtastsd::check {

namespace {

// `to_value` makes the value from the records that were found.
template <typename Value, typename Records, typename ToValue>
Fact<Value> fact_of(dns::Answer<Records>& answer, ToValue to_value) {
  if (!answer) {
    return Fact<Value>::unknown(describe(answer.error()));
  }
  auto* found = std::get_if<Records>(&*answer);
  return found == nullptr ? Fact<Value>::none() : Fact<Value>::is(to_value(*found));
}

}  // namespace

Fact<TextRecords> text_fact(dns::TxtAnswer answer) {
  const dns::Provenance& provenance = answer.provenance;
  auto fact = fact_of<TextRecords>(answer, [&](dns::TxtRecords& found) -> TextRecords {
    return {.records = std::move(found.records),
            .chain = {},
            .ttl = found.ttl,
            .authenticated = provenance.authenticated};
  });
  fact.value.chain = provenance.chain;
  fact.value.dangling = fact.absent() && provenance.no_such_name && !provenance.chain.empty();
  return fact;
}

Fact<AddressRecords> address_fact(const discovery::HostAddresses& addresses) {
  AddressRecords found;
  std::string error;
  const auto take = [&](const std::optional<dns::AddressAnswer>& family,
                        std::vector<IpAddress>& into) {
    if (!family) {
      return;  // it was too late
    }
    if (!*family) {
      error = describe(family->error());
      return;
    }
    if (found.chain.empty()) {
      found.chain = family->provenance.chain;
    }
    if (const auto* answer = std::get_if<dns::Addresses>(&**family)) {
      const auto& list = answer->addresses;
      const std::size_t count = std::min(list.size(), discovery::kMaxAddressesPerFamily);
      into.assign(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
    }
  };
  take(addresses.v4, found.v4);
  take(addresses.v6, found.v6);
  if (!found.v4.empty() || !found.v6.empty()) {
    return Fact<AddressRecords>::is(std::move(found));
  }
  if (!error.empty()) {
    return Fact<AddressRecords>::unknown(error);
  }
  auto none = Fact<AddressRecords>::none();
  none.value = std::move(found);
  return none;
}

Fact<std::vector<dns::Tlsa>> tlsa_fact(dns::Answer<dns::TlsaRecords> answer) {
  return fact_of<std::vector<dns::Tlsa>>(
      answer, [](dns::TlsaRecords& found) { return std::move(found.records); });
}

}  // namespace mtastsd::check
