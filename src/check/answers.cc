#include "answers.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

namespace mtastsd::check {

using dns::Inspected;

Fact<TextRecords> text_fact(Inspected<dns::TxtRecords> inspected) {
  if (!inspected.answer) {
    return Fact<TextRecords>::unknown(describe(inspected.answer.error()));
  }
  auto* found = std::get_if<dns::TxtRecords>(&*inspected.answer);
  if (found == nullptr) {
    return Fact<TextRecords>::none();
  }
  found->records.resize(std::min(found->records.size(), kMaxRecords));
  return Fact<TextRecords>::is({.records = std::move(found->records),
                                .chain = std::move(inspected.provenance.chain),
                                .ttl = found->ttl,
                                .authenticated = inspected.provenance.authenticated});
}

Fact<AddressRecords> address_fact(Families families) {
  AddressRecords found;
  std::string error;
  for (auto* family : {&*families.v4, &*families.v6}) {
    if (!family->answer) {
      error = describe(family->answer.error());
    } else if (auto* addresses = std::get_if<dns::Addresses>(&*family->answer)) {
      auto& list = addresses->addresses;
      list.erase(
          list.begin() + static_cast<std::ptrdiff_t>(std::min(list.size(), kMaxAddressesPerFamily)),
          list.end());
      (family == &*families.v4 ? found.v4 : found.v6) = std::move(list);
      found.chain = std::move(family->provenance.chain);
    }
  }
  if (!found.v4.empty() || !found.v6.empty()) {
    return Fact<AddressRecords>::is(std::move(found));
  }
  return error.empty() ? Fact<AddressRecords>::none() : Fact<AddressRecords>::unknown(error);
}

Fact<std::vector<dns::Tlsa>> tlsa_fact(Inspected<dns::TlsaRecords> inspected) {
  using Records = Fact<std::vector<dns::Tlsa>>;
  if (!inspected.answer) {
    return Records::unknown(describe(inspected.answer.error()));
  }
  auto* found = std::get_if<dns::TlsaRecords>(&*inspected.answer);
  if (found == nullptr) {
    return Records::none();
  }
  found->records.resize(std::min(found->records.size(), kMaxRecords));
  return Records::is(std::move(found->records));
}

}  // namespace mtastsd::check
