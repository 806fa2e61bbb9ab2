#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mtastsd::postfix {

// What the Postfix that uses a map can take.
struct Profile {
  bool report_attributes = false;  // policy_type= and the rest for TLSRPT: Postfix 3.10 and later
  bool servername = true;          // servername=hostname: Postfix 3.4 and later
  bool enforce_testing = false;    // answer for mode testing as for mode enforce
  bool dane = false;     // it does DANE: where that decides, MTA-STS must not (RFC 8461 section 2)
  bool observe = false;  // answer NOTFOUND, and count what would have been said
  friend bool operator==(const Profile&, const Profile&) = default;
};

// The profile for a version of Postfix: "MAJOR.MINOR" with an optional rest ("3.10.2"). Returns
// nullopt if that is not a version, or one before 2.10, which has no socketmap.
std::optional<Profile> profile_for_postfix(std::string_view version);

}  // namespace mtastsd::postfix
