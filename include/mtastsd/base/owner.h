#pragma once

#include <string>

#include "mtastsd/base/domain_name.h"

namespace mtastsd {

// Whose domain it is: its registrable domain by the public suffix list ("example.co.uk" for
// "mail.example.co.uk"), and the domain itself where it is a public suffix. An unknown top-level
// domain counts as a suffix. The list is read once, by the first call; any thread may call.
std::string owner_of(const DomainName& domain);

}  // namespace mtastsd
