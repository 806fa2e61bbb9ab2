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

void find_smtp_certificate(const std::string& host, const https::Certificate& certificate,
                           WallTime now, Findings& findings) {
  if (!certificate.chain_trusted) {
    add(findings, Code::SmtpCertUntrusted, host + ": " + shown(certificate.problem));
  }
  if (!certificate.in_time) {
    add(findings, Code::SmtpCertExpired,
        host + ": valid from " + day_text(certificate.not_before) + " to " +
            day_text(certificate.not_after));
  } else if (days_left(certificate.not_after, now) < kFewDaysLeft) {
    add(findings, Code::SmtpCertExpiring, host + ": expires on " + day_text(certificate.not_after));
  }
  if (!certificate.name_matches) {
    add(findings, Code::SmtpCertName,
        host + ": " +
            (certificate.names.empty() ? std::string("it has no DNS names")
                                       : "it names " + shown(certificate.names.front())));
  }
}

void find_reports(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (facts.tlsrpt.cannot_tell()) {
    add(findings, Code::TlsRptUnknown, shown(facts.tlsrpt.why));
  } else if (analysis.tlsrpt_claims > 1) {
    add(findings, Code::TlsRptMultiple);
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

void find_mail(const Facts& facts, const Analysis& analysis, Findings& findings) {
  if (facts.mail.cannot_tell()) {
    add(findings, Code::MxUnknown, shown(facts.mail.why));
    return;
  }
  if (!facts.mail.known()) {
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
    const std::string name = shown(host.host);
    if (host.smtp.cannot_tell()) {
      add(findings, Code::SmtpUnknown, name + ": " + shown(host.smtp.why));
    }
    if (!host.smtp.known()) {
      continue;
    }
    const Smtp& smtp = host.smtp.value;
    if (!smtp.starttls) {
      add(findings, Code::SmtpNoStarttls, name);
    } else if (!smtp.tls_error.empty()) {
      add(findings, Code::SmtpTlsFailed, name + ": " + shown(smtp.tls_error));
    } else if (is_old(smtp.tls_version)) {
      add(findings, Code::SmtpTlsOld, name + ": " + smtp.tls_version);
    }
    if (smtp.certificate) {
      find_smtp_certificate(name, *smtp.certificate, facts.at, findings);
    }
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
  switch (analysis.dane) {
    case Dane::None:
      break;
    case Dane::Everywhere:
      add(findings, Code::DanePresent);
      break;
    case Dane::Partly:
      add(findings, Code::DanePartial);
      break;
    case Dane::Unsigned:
      add(findings, Code::DaneUnsigned);
      break;
    case Dane::CannotTell:
      add(findings, Code::DaneUnknown, shown(analysis.dane_why));
      break;
  }
}

// DANE and the cache are extras: what is not known of them leaves the verdict as it is.
bool has_gaps(const Facts& facts) {
  const bool smtp_gap =
      facts.smtp_asked && std::any_of(facts.mail.value.hosts.begin(), facts.mail.value.hosts.end(),
                                      [](const MxHost& host) { return host.smtp.cannot_tell(); });
  return facts.record.cannot_tell() || facts.mail.cannot_tell() || smtp_gap ||
         facts.policy_host.fetch.cannot_tell() || facts.tlsrpt.cannot_tell();
}

}  // namespace mtastsd::check
