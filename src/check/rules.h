#pragma once

#include <string>
#include <vector>

#include "analysis.h"
#include "mtastsd/check/findings.h"

namespace mtastsd::check {

using Findings = std::vector<Finding>;

inline void add(Findings& findings, Code code, std::string detail = "") {
  findings.push_back({&kind_of(code), std::move(detail)});
}

// The findings about a certificate, for whose it is.
struct CertificateCodes {
  Code untrusted;
  Code expired;
  Code expiring;
  Code name;
};
// `host` is put before each detail.
void find_certificate(const Facts& facts, const https::Certificate& certificate,
                      const CertificateCodes& codes, const std::string& host, Findings& findings);

void find_record(const Facts& facts, const Analysis& analysis, Findings& findings);
void find_policy_host(const Facts& facts, const Analysis& analysis, Findings& findings);
void find_policy(const Facts& facts, const Analysis& analysis, Findings& findings);
void find_mail(const Facts& facts, const Analysis& analysis, Findings& findings);
void find_smtp(const Facts& facts, Findings& findings);
void find_reports_and_dane(const Facts& facts, const Analysis& analysis, Findings& findings);

}  // namespace mtastsd::check
