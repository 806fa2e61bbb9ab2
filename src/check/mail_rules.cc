// Findings about the mail servers, reports and DANE.

#include <algorithm>

#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "rules.h"
#include "shown.h"

namespace mtastsd::check {
namespace {

void find_host(const MxHost& host, Findings& findings) {
  const std::string name = shown(host.host);
  if (!host.name) {
    add(findings, Code::MxNotAHost, name);
    return;
  }
  if (host.addresses.absent()) {
    add(findings, Code::MxNoAddress, name);
  } else if (!host.addresses.value.chain.empty()) {
    add(findings, Code::MxAlias, name + " for " + shown(host.addresses.value.chain.back()));
  }
}

bool is_old(std::string_view tls_version) {
  return tls_version == "TLSv1" || tls_version == "TLSv1.1";
}

constexpr CertificateCodes kSmtpCertificate = {Code::SmtpCertUntrusted, Code::SmtpCertExpired,
                                               Code::SmtpCertExpiring, Code::SmtpCertName};

void find_session(const Facts& facts, const Smtp& smtp, Findings& findings) {
  if (!smtp.starttls) {
    add(findings, Code::SmtpNoStarttls);
  } else if (!smtp.tls_error.empty()) {
    add(findings, Code::SmtpTlsFailed, shown(smtp.tls_error));
  } else if (is_old(smtp.tls_version)) {
    add(findings, Code::SmtpTlsOld, smtp.tls_version);
  }
  if (smtp.certificate) {
    find_certificate(facts, *smtp.certificate, kSmtpCertificate, findings);
  }
}

void find_reports(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (facts.tlsrpt.cannot_tell()) {
    add(findings, Code::TlsRptUnknown, shown(facts.tlsrpt.why));
  } else if (analysis.tlsrpt_claims > 1) {
    add(findings, Code::TlsRptMultiple);
  } else if (analysis.tlsrpt_claims == 0 && !analysis.tlsrpt_near_misses.empty()) {
    add(findings, Code::TlsRptMisspelt, shown_in_quotes(analysis.tlsrpt_near_misses.front()));
  } else if (analysis.tlsrpt_error) {
    add(findings, Code::TlsRptInvalid,
        "at byte " + std::to_string(analysis.tlsrpt_error->offset) + ": " +
            analysis.tlsrpt_error->detail);
  } else if (!analysis.tlsrpt) {
    const bool testing = analysis.policy && analysis.policy->mode == mtasts::Mode::Testing;
    add(findings, testing ? Code::TlsRptMissingInTesting : Code::TlsRptMissing);
  } else {
    for (const std::string& uri : analysis.tlsrpt->destinations) {
      if (!usable_destination(uri)) {
        add(findings, Code::TlsRptDestination, shown(uri));
      }
    }
  }
}

}  // namespace

void find_certificate(const Facts& facts, const https::Certificate& certificate,
                      const CertificateCodes& codes, Findings& findings) {
  if (!certificate.chain_trusted) {
    add(findings, codes.untrusted, shown(certificate.problem));
  }
  if (!certificate.in_time) {
    add(findings, codes.expired,
        "valid from " + day_text(certificate.not_before) + " to " +
            day_text(certificate.not_after));
  } else if (expires_soon(certificate, facts.at)) {
    add(findings, codes.expiring, "expires on " + day_text(certificate.not_after));
  }
  if (certificate.name_matches) {
    return;
  }
  const auto& names = certificate.names;
  std::string detail = names.empty() ? "it has no DNS names" : "it names " + shown(names[0]);
  if (std::find(names.begin(), names.end(), facts.domain) != names.end()) {
    detail = "it is the certificate of " + facts.domain + " itself";
  } else if (names.size() > 1) {
    detail += " and " + counted(names.size() - 1, "other", "others");
  }
  add(findings, codes.name, detail);
}

void add_by_address(const std::vector<AddressFindings>& addresses, const std::string& host,
                    Findings& findings) {
  std::vector<Code> done;
  for (const AddressFindings& first : addresses) {
    for (const Finding& finding : first.findings) {
      const Code code = finding.kind->id;
      if (std::find(done.begin(), done.end(), code) != done.end()) {
        continue;
      }
      done.push_back(code);
      std::vector<std::string> affected;
      for (const AddressFindings& one : addresses) {
        if (std::any_of(one.findings.begin(), one.findings.end(),
                        [code](const Finding& other) { return other.kind->id == code; })) {
          affected.push_back(one.address);
        }
      }
      std::vector<std::string> parts;
      if (!host.empty()) {
        parts.push_back(host);
      }
      if (affected.size() < addresses.size()) {
        parts.push_back(std::to_string(affected.size()) + " of " +
                        std::to_string(addresses.size()) + " addresses (" + joined(affected) + ")");
      }
      if (!finding.detail.empty()) {
        parts.push_back(finding.detail);
      }
      add(findings, code, joined(parts, ": "));
    }
  }
}

void find_mail(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (facts.mail.cannot_tell()) {
    add(findings, Code::MxUnknown, shown(facts.mail.why));
    return;
  }
  if (!facts.mail.known()) {
    if (facts.domain_exists) {
      add(findings, Code::MailServerMissing);
    }
    return;
  }
  const MailServers& mail = facts.mail.value;
  if (mail.null_mx) {
    add(findings, mail.hosts.empty() ? Code::MxNull : Code::MxNullMixed);
  }
  if (mail.implicit) {
    add(findings, Code::MxImplicit);
  }
  if (mail.left_out > 0) {
    add(findings, Code::MxTooMany,
        std::to_string(mail.hosts.size()) + " of " +
            std::to_string(mail.hosts.size() + mail.left_out));
  }
  for (const MxHost& host : mail.hosts) {
    find_host(host, findings);
  }
  for (const std::string& host : analysis.uncovered) {
    add(findings, Code::MxMismatch, shown(host));
  }
  for (const std::string& pattern : analysis.unused) {
    add(findings, Code::MxUnused, pattern);
  }
}

void find_smtp(const Facts& facts, Findings& findings) {
  if (!facts.smtp_asked) {
    return;
  }
  for (const MxHost& host : facts.mail.value.hosts) {
    std::vector<AddressFindings> addresses;
    for (const Fact<Smtp>& smtp : host.smtp) {
      addresses.push_back({smtp.value.address, {}});
      if (smtp.cannot_tell()) {
        add(addresses.back().findings, Code::SmtpUnknown, shown(smtp.why));
      } else if (smtp.known()) {
        find_session(facts, smtp.value, addresses.back().findings);
      }
    }
    add_by_address(addresses, shown(host.host), findings);
  }
}

void find_reports_and_dane(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (facts.mail.known() && facts.mail.value.null_mx && facts.mail.value.hosts.empty()) {
    return;  // no mail, no reports
  }
  if (facts.domain_exists) {
    find_reports(facts, analysis, findings);
  }
  if (!facts.mail.known()) {
    return;
  }
  if (analysis.dane == Dane::CannotTell) {
    add(findings, Code::DaneUnknown, shown(analysis.dane_why));
  } else if (analysis.dane != Dane::None) {
    add(findings, analysis.dane == Dane::Everywhere ? Code::DanePresent
                  : analysis.dane == Dane::Partly   ? Code::DanePartial
                  : analysis.dane == Dane::Unusable ? Code::DaneUnusable
                                                    : Code::DaneUnsigned);
  }
}

bool has_smtp_gap(const Facts& facts) {
  const auto& hosts = facts.mail.value.hosts;
  return facts.smtp_asked && std::any_of(hosts.begin(), hosts.end(), [](const MxHost& host) {
           return std::any_of(host.smtp.begin(), host.smtp.end(),
                              [](const Fact<Smtp>& smtp) { return smtp.cannot_tell(); });
         });
}

// DANE and the cache are extras: a report is complete without them.
bool has_gaps(const Facts& facts) {
  return facts.record.cannot_tell() || facts.mail.cannot_tell() || has_smtp_gap(facts) ||
         facts.policy_host.fetch.cannot_tell() || facts.tlsrpt.cannot_tell();
}

}  // namespace mtastsd::check
