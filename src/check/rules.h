#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analysis.h"
#include "mtastsd/check/findings.h"

namespace mtastsd::check {

using Findings = std::vector<Finding>;

inline void add(Findings& findings, Code code, std::string detail = "") {
  findings.push_back({.kind = &kind_of(code), .detail = std::move(detail), .fix = {}, .lines = {}});
}

// The findings about a certificate, for whose it is.
struct CertificateCodes {
  Code untrusted;
  Code expired;
  Code expiring;
  Code name;
};
void find_certificate(const Facts& facts, const https::Certificate& certificate,
                      const CertificateCodes& codes, Findings& findings);

// The findings about one address of a host.
struct AddressFindings {
  std::string address;
  Findings findings;
};
// Adds one finding of each code, which says at how many of the addresses it is so, unless it is so
// at all of them. `host` is put before each detail; empty: nothing is.
void add_by_address(const std::vector<AddressFindings>& addresses, const std::string& host,
                    Findings& findings);

// The text with the domain in each place where it says "<domain>".
std::string named(std::string_view text, const std::string& domain);

// Sets what to do about each finding of this domain.
void add_fixes(const Facts& facts, const Analysis& analysis, Findings& findings);

// True if anything says that the domain means to have a policy. Otherwise it is no fault that the
// policy host does not exist.
bool policy_expected(const Analysis& analysis);

void find_record(const Facts& facts, const Analysis& analysis, Findings& findings);
void find_policy_host(const Facts& facts, const Analysis& analysis, Findings& findings);
void find_policy(const Facts& facts, const Analysis& analysis, Findings& findings);
void find_mail(const Facts& facts, const Analysis& analysis, Findings& findings);
void find_smtp(const Facts& facts, Findings& findings);
void find_reports_and_dane(const Facts& facts, const Analysis& analysis, Findings& findings);

}  // namespace mtastsd::check
