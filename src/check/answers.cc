#include "answers.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

namespace mtastsd::check {

Fact<TextRecords> text_fact(dns::TxtAnswer answer) {
  if (!answer) {
    return Fact<TextRecords>::unknown(describe(answer.error()));
  }
  auto* found = std::get_if<dns::TxtRecords>(&*answer);
  if (found == nullptr) {
    return Fact<TextRecords>::none();
  }
  return Fact<TextRecords>::is({.records = std::move(found->records),
                                .chain = std::move(answer.provenance.chain),
                                .ttl = found->ttl,
                                .authenticated = answer.provenance.authenticated});
}

Fact<AddressRecords> address_fact(Families families) {
  AddressRecords found;
  std::string error;
  for (auto* family : {&*families.v4, &*families.v6}) {
    if (!*family) {
      error = describe(family->error());
    } else if (auto* addresses = std::get_if<dns::Addresses>(&**family)) {
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

Fact<std::vector<dns::Tlsa>> tlsa_fact(dns::Answer<dns::TlsaRecords> answer) {
  using Records = Fact<std::vector<dns::Tlsa>>;
  if (!answer) {
    return Records::unknown(describe(answer.error()));
  }
  auto* found = std::get_if<dns::TlsaRecords>(&*answer);
  return found == nullptr ? Records::none() : Records::is(std::move(found->records));
}

}  // namespace mtastsd::check
