#pragma once

#include "mtastsd/dns/dns_client.h"

namespace mtastsd::dane {

// Whether a client that does DANE for SMTP can use the record (RFC 7672 section 3.1): usage 2 or 3,
// selector 0 or 1, matching 0 to 2, with data that OpenSSL takes. Not laxer than Postfix: it looks
// no closer before the handshake, and defers the mail where it finds nothing usable. Pure.
bool is_usable(const dns::Tlsa& record);

}  // namespace mtastsd::dane
