#include "mtastsd/base/owner.h"

#include <libpsl.h>

namespace mtastsd {
namespace {

// The distribution's list where there is one, which is newer than the library's own.
const psl_ctx_t* public_suffixes() {
  static const psl_ctx_t* const list = psl_latest(nullptr);
  return list != nullptr ? list : psl_builtin();
}

}  // namespace

std::string owner_of(const DomainName& domain) {
  const std::string name = domain.str();
  const char* const registrable = psl_registrable_domain(public_suffixes(), name.c_str());
  return registrable != nullptr ? registrable : name;
}

}  // namespace mtastsd
