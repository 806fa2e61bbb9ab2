#include "mtastsd/check/findings.h"

#include <algorithm>
#include <array>

#include "rules.h"

namespace mtastsd::check {
namespace {

using enum report::Severity;

constexpr std::array<FindingKind, static_cast<std::size_t>(Code::Count)> kKinds = {{
    {Code::RecordUnknown, "mta_sts_record_unknown", Unknown,
     "The TXT record at _mta-sts could not be looked up, so it is not known whether there is one.",
     "Try again. If it happens again, check the domain's name servers and its DNSSEC signatures."},
    {Code::RecordMissing, "mta_sts_missing", Low,
     "The domain publishes no MTA-STS record: whoever can tamper with connections can read the "
     "mail that is sent to it.",
     "Publish a policy in mode testing, then a TXT record at _mta-sts: \"v=STSv1; id=<date>;\"."},
    {Code::RecordMultiple, "mta_sts_record_multiple", Medium,
     "There is more than one MTA-STS record, which counts as none.",
     "Leave exactly one TXT record that begins with v=STSv1 at _mta-sts."},
    {Code::RecordInvalid, "mta_sts_record_invalid", Medium,
     "The MTA-STS record breaks the grammar and counts as none.",
     "Write it as \"v=STSv1; id=<1 to 32 letters and digits>;\"."},
    {Code::RecordMisplaced, "mta_sts_record_misplaced", Medium,
     "There is an MTA-STS record at the domain itself, where no sender looks.",
     "Move it to _mta-sts.<domain>."},
    {Code::RecordMisspelt, "mta_sts_record_misspelt", Medium,
     "A TXT record at _mta-sts looks like an MTA-STS record with a mistake at its beginning.",
     "It must begin with \"v=STSv1;\", in this case and without quotes of its own."},
    {Code::RecordDangling, "mta_sts_record_dangling", Medium,
     "_mta-sts.<domain> is an alias (CNAME) of a name that does not exist.",
     "Correct the CNAME record, or remove it if the domain has left the provider of its policy."},
    {Code::PolicyWithoutRecord, "mta_sts_policy_without_record", Medium,
     "The policy host has a valid policy, but without a record no sender looks for it.",
     "Publish the TXT record at _mta-sts: \"v=STSv1; id=<date>;\"."},
    {Code::RecordTtlLong, "mta_sts_record_ttl_long", Low,
     "The record has a long TTL, so senders notice a new policy late.",
     "Lower the TTL to a day at most; an hour is usual."},
    {Code::IdNoTimestamp, "mta_sts_id_no_timestamp", Info,
     "The id does not look like a date. That is allowed, but a date shows when the policy was "
     "changed, and is never used twice.",
     ""},
    {Code::IdNotBumped, "mta_sts_id_not_bumped", Medium,
     "The policy has changed under the same id: senders that have the old one keep it.",
     "Change the id in the TXT record whenever the policy changes."},
    {Code::Unreachable, "mta_sts_unreachable", Medium,
     "The policy cannot be fetched from the policy host. Senders that have no cached policy "
     "deliver without MTA-STS.",
     "Make https://mta-sts.<domain>/.well-known/mta-sts.txt answer with status 200."},
    {Code::PolicyUnknown, "mta_sts_policy_unknown", Unknown,
     "It could not be determined whether the policy can be fetched.", "Try again."},
    {Code::HostNoAddress, "policy_host_no_address", Medium, "The policy host has no address.",
     "Publish A and AAAA records for mta-sts.<domain>, or a CNAME to the provider that hosts the "
     "policy."},
    {Code::HostLocalAddress, "policy_host_local_address", Medium,
     "The policy host has only addresses that are not reachable from the Internet.",
     "Publish its public addresses."},
    {Code::HostAddressFails, "policy_host_address_fails", Medium,
     "The policy host gives the policy at some of its addresses only. Senders that try one of the "
     "others may deliver without MTA-STS.",
     "Set up the web server at each address alike, or remove the address from DNS."},
    {Code::HostTlsFailed, "policy_host_tls_failed", Medium,
     "No TLS connection to the policy host could be made. Senders need TLS 1.2 or newer, with SNI.",
     "Check the TLS settings of the web server for this host name."},
    {Code::HostCertUntrusted, "policy_host_cert_untrusted", Medium,
     "The policy host's certificate does not chain to a trusted root.",
     "Use a certificate from a public authority, and send its intermediate certificates too."},
    {Code::HostCertExpired, "policy_host_cert_expired", Medium,
     "A certificate of the policy host has expired or is not valid yet.",
     "Renew it, and automate the renewal."},
    {Code::HostCertName, "policy_host_cert_name", Medium,
     "The policy host's certificate does not cover its name. Only DNS names in the subjectAltName "
     "count.",
     "Get a certificate that names mta-sts.<domain>."},
    {Code::HostCertExpiring, "policy_host_cert_expiring", Low,
     "The policy host's certificate has less than a third of its lifetime left, and less than 14 "
     "days.",
     "Renew it, and find out why it was not renewed automatically."},
    {Code::HttpStatus, "policy_http_status", Medium,
     "The policy host answers with a status other than 200.",
     "Serve the policy at /.well-known/mta-sts.txt of the policy host."},
    {Code::Redirect, "policy_redirect", Medium,
     "The policy host redirects, and senders must not follow redirects.",
     "Serve the policy there, or point mta-sts.<domain> by a CNAME to the host that serves it."},
    {Code::MediaType, "policy_media_type", Medium, "The policy is not served as text/plain.",
     "Set Content-Type: text/plain for this file."},
    {Code::TooLarge, "policy_too_large", Medium,
     "The policy is larger than the 64 KiB that senders take.", "Shorten it."},
    {Code::Slow, "policy_slow", Low,
     "The policy host took more than 10 seconds. Senders give up after a minute, some sooner.",
     "Find out why the web server is slow."},
    {Code::PolicyDiffers, "policy_differs", Medium,
     "The addresses of the policy host give different policies, and senders get one or the other.",
     "Serve the same policy at each address."},
    {Code::PolicyOnApex, "policy_on_apex", Medium,
     "The policy is on the domain's own web server. Senders ask mta-sts.<domain> only.",
     "Serve it at https://mta-sts.<domain>/.well-known/mta-sts.txt."},
    {Code::PolicyIsHtml, "policy_is_html", Medium, "What is served as the policy is a web page.",
     "Serve the plain text of the policy; a catch-all page may hide that it is missing."},
    {Code::LineBreaksMissing, "policy_line_breaks_missing", Medium,
     "The whole policy is one line, so it counts as none: the line breaks are missing.",
     "Put each field on a line of its own."},
    {Code::PolicyInvalid, "mta_sts_policy_invalid", Medium,
     "The policy breaks the grammar of RFC 8461 and counts as none.",
     "Correct the lines that are named."},
    {Code::ModeNone, "mta_sts_mode_none", Low,
     "The policy has mode none: the domain has withdrawn from MTA-STS.",
     "If that is not permanent, publish mode testing under a new id."},
    {Code::ModeTesting, "mta_sts_mode_testing", Info,
     "The policy has mode testing: failures are reported, but mail is delivered anyway.",
     "Change to enforce, with a max_age of a week or more, when two weeks of reports show no "
     "failures."},
    {Code::MaxAgeTiny, "policy_max_age_tiny", Medium,
     "max_age is less than a day: whoever blocks fetches for some hours switches the policy off.",
     "Set it to weeks: 1209600 is two."},
    {Code::MaxAgeShort, "policy_max_age_short", Low,
     "max_age is less than a week. RFC 8461 expects weeks or more.",
     "Set it to weeks: 1209600 is two."},
    {Code::MaxAgeLong, "policy_max_age_long", Info,
     "max_age is more than half a year. If the policy host is lost, senders keep the old policy "
     "for that long.",
     ""},
    {Code::MaxAgeOverLimit, "policy_max_age_over_limit", Low,
     "max_age is above the limit of 31557600 seconds; some senders refuse the policy.",
     "Set it to 31557600 (a year) at most."},
    {Code::FieldMisspelt, "policy_field_misspelt", Low,
     "The policy has a field that senders ignore and that looks misspelt.",
     "Correct its name: version, mode, max_age and mx, in lower case."},
    {Code::FieldUnknown, "policy_field_unknown", Info,
     "The policy has a field that RFC 8461 does not know. Senders ignore it.", ""},
    {Code::FieldDuplicate, "policy_field_duplicate", Low,
     "A field occurs twice. The first one counts.", "Remove the other one."},
    {Code::PatternUnmatchable, "policy_mx_unmatchable", Low,
     "An mx of the policy is not a name that an MX host can have.",
     "Name the host as the MX record does; addresses are not possible."},
    {Code::PatternFinalDot, "policy_mx_final_dot", Low,
     "An mx of the policy ends in a dot; some senders refuse the policy.", "Remove the dot."},
    {Code::PatternRepeated, "policy_mx_repeated", Info, "An mx of the policy is listed twice.",
     "Remove one."},
    {Code::LineEndsMixed, "policy_line_ends_mixed", Info,
     "Some lines of the policy end in CRLF, some in LF only. RFC 8461 allows both.", ""},
    {Code::ByteOrderMark, "policy_byte_order_mark", Low,
     "The policy begins with a byte order mark; some senders refuse it.",
     "Save the file as UTF-8 without a byte order mark."},
    {Code::BlankLines, "policy_blank_lines", Info,
     "The policy has blank lines, which RFC 8461 does not know; most senders skip them.",
     "Remove them."},
    {Code::MxMismatch, "mta_sts_mx_mismatch", High,
     "No mx of the policy covers an MX host of the domain: in mode enforce, senders refuse to "
     "deliver to it.",
     "Add it to the policy and change the id, or remove the MX record."},
    {Code::MxUnused, "mta_sts_mx_unused", Low,
     "An mx of the policy covers no MX host of the domain.",
     "Remove it, unless a change of the MX records is under way."},
    {Code::MxUnknown, "mx_unknown", Unknown,
     "The MX records could not be looked up, so they were not compared with the policy.",
     "Try again. If it happens again, check the domain's name servers and its DNSSEC signatures."},
    {Code::DomainMissing, "domain_missing", Medium, "The domain does not exist.",
     "Check the spelling."},
    {Code::MailServerMissing, "mail_server_missing", Medium,
     "The domain has no MX record and no address, so nobody can send mail to it.",
     "Publish an MX record, or a null MX (\"0 .\") if the domain is to take no mail."},
    {Code::MxNull, "mx_null", Info, "The domain accepts no mail (null MX).", ""},
    {Code::MxNullMixed, "mx_null_mixed", Low,
     "There is a null MX beside other MX records, which has no meaning.", "Remove it."},
    {Code::MxImplicit, "mx_implicit", Low,
     "The domain has no MX record: senders fall back to its address.",
     "Publish an MX record, as the policy is about MX hosts."},
    {Code::MxAlias, "mx_alias", Low,
     "An MX host is an alias (CNAME), which RFC 2181 forbids. The policy and the certificate have "
     "to have the name in the MX record.",
     "Name the host itself in the MX record."},
    {Code::MxNoAddress, "mx_no_address", Medium, "An MX host has no address.",
     "Publish its addresses, or remove the MX record."},
    {Code::MxNotAHost, "mx_not_a_host", Medium,
     "An MX record does not name a host: no mx of a policy and no certificate can match it.",
     "Name a host in the MX record; addresses are not possible."},
    {Code::MxTooMany, "mx_too_many", Info, "There are more MX hosts than this report looks at.",
     ""},
    {Code::SmtpUnknown, "smtp_unknown", Unknown,
     "An MX host could not be reached from here. Many networks block outgoing port 25.",
     "Try again from the host that sends mail."},
    {Code::SmtpNoStarttls, "smtp_no_starttls", High,
     "An MX host does not offer STARTTLS: senders that apply the policy refuse to deliver.",
     "Enable TLS in the mail server."},
    {Code::SmtpTlsFailed, "smtp_tls_failed", High,
     "The TLS handshake with an MX host fails: senders that apply the policy refuse to deliver.",
     "Check the TLS settings of the mail server."},
    {Code::SmtpTlsOld, "smtp_tls_old", Medium,
     "An MX host speaks nothing newer than TLS 1.1, which many senders refuse.",
     "Enable TLS 1.2 and 1.3 in the mail server."},
    {Code::SmtpCertUntrusted, "smtp_cert_untrusted", High,
     "An MX host's certificate does not chain to a trusted root: senders that apply the policy "
     "refuse to deliver.",
     "Use a certificate from a public authority, and send its intermediate certificates too."},
    {Code::SmtpCertExpired, "smtp_cert_expired", High,
     "A certificate of an MX host has expired or is not valid yet: senders that apply the policy "
     "refuse to deliver.",
     "Renew it, and automate the renewal."},
    {Code::SmtpCertName, "smtp_cert_name", High,
     "An MX host's certificate does not cover the name in the MX record: senders that apply the "
     "policy refuse to deliver.",
     "Get a certificate with that name in its subjectAltName."},
    {Code::SmtpCertExpiring, "smtp_cert_expiring", Low,
     "An MX host's certificate has less than a third of its lifetime left, and less than 14 days.",
     "Renew it, and find out why it was not renewed automatically."},
    {Code::TlsRptMissing, "tlsrpt_missing", Info,
     "The domain does not ask for TLS reports (RFC 8460), so failures go unnoticed.",
     "Publish a TXT record at _smtp._tls: \"v=TLSRPTv1; rua=mailto:<address>\"."},
    {Code::TlsRptMissingInTesting, "tlsrpt_missing_in_testing", Low,
     "The policy is in testing, but the domain does not ask for reports, so nobody learns what the "
     "test shows.",
     "Publish a TXT record at _smtp._tls: \"v=TLSRPTv1; rua=mailto:<address>\"."},
    {Code::TlsRptUnknown, "tlsrpt_unknown", Unknown,
     "The TXT record at _smtp._tls could not be looked up.", "Try again."},
    {Code::TlsRptMultiple, "tlsrpt_multiple", Low,
     "There is more than one TLSRPT record, which counts as none.",
     "Leave one. It may have several destinations, separated by commas."},
    {Code::TlsRptInvalid, "tlsrpt_invalid", Low,
     "The TLSRPT record breaks the grammar: no reports are sent.",
     "Write it as \"v=TLSRPTv1; rua=mailto:<address>\"."},
    {Code::TlsRptMisspelt, "tlsrpt_misspelt", Low,
     "A TXT record at _smtp._tls looks like a TLSRPT record with a mistake at its beginning.",
     "It must begin with \"v=TLSRPTv1;\", in this case and without quotes of its own."},
    {Code::TlsRptDestination, "tlsrpt_destination", Low,
     "A destination of TLS reports cannot be used.",
     "Use mailto:<address> or https://<host>/<path>."},
    {Code::DanePresent, "dane_present", Info,
     "Each MX host has DNSSEC-validated TLSA records: senders that do DANE use these instead.", ""},
    {Code::DanePartial, "dane_partial", Info,
     "Some MX hosts have DNSSEC-validated TLSA records, others do not: senders that do both DANE "
     "and MTA-STS use only those that have them.",
     ""},
    {Code::DaneUnsigned, "dane_unsigned", Low,
     "There are TLSA records without DNSSEC, which have no effect.",
     "Sign the zones of the domain and of the MX hosts, or remove the records."},
    {Code::DaneUnusable, "dane_unusable", Low,
     "There are DNSSEC-validated TLSA records, but none that a sender can use.",
     "Publish records for SMTP: usage 2 or 3, selector 0 or 1, matching type 1 or 2, and all of "
     "the "
     "digest. \"3 1 1\" is the usual form."},
    {Code::DaneUnknown, "dane_unknown", Unknown,
     "It could not be determined whether DANE protects the domain.",
     "Name a validating resolver that you trust with --dns, preferably one on this host."},
    {Code::CacheStale, "cache_stale", Info,
     "The mtastsd on this host has a policy with another id. It fetches the new one when mail goes "
     "there.",
     ""},
    {Code::CacheUnknown, "cache_unknown", Unknown,
     "The cache of the mtastsd on this host could not be read.",
     "Run this as root, or as a member of [control] socket_group."},
}};

static_assert(report::is_complete(kKinds));

}  // namespace

std::span<const FindingKind> finding_kinds() {
  return kKinds;
}

const FindingKind& kind_of(Code code) {
  return kKinds.at(static_cast<std::size_t>(code));
}

std::vector<Finding> find(const Facts& facts, const Analysis& analysis) {
  std::vector<Finding> findings;
  find_record(facts, analysis, findings);
  find_policy_host(facts, analysis, findings);
  find_policy(facts, analysis, findings);
  find_mail(facts, analysis, findings);
  find_smtp(facts, findings);
  find_reports_and_dane(facts, analysis, findings);
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return a.kind->severity != b.kind->severity ? a.kind->severity > b.kind->severity
                                                : a.kind->id < b.kind->id;
  });
  add_fixes(facts, analysis, findings);
  return findings;
}

}  // namespace mtastsd::check
