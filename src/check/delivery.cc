#include "mtastsd/check/delivery.h"

#include <algorithm>

#include "analysis.h"
#include "mtastsd/base/text.h"
#include "mtastsd/mtasts/mx_match.h"
#include "shown.h"

namespace mtastsd::check {
namespace {

using Fate = Delivery::Outcome;

// How one MX host ends, and why.
struct Verdict {
  Fate outcome;
  std::string why;
};

std::string failure_of(const Smtp& smtp) {
  if (!smtp.starttls) {
    return "offers no STARTTLS";
  }
  if (!smtp.tls_error.empty()) {
    return "fails at TLS: " + shown(smtp.tls_error);
  }
  return "has a certificate that does not pass" +
         (smtp.certificate && !smtp.certificate->problem.empty()
              ? ": " + shown(smtp.certificate->problem)
              : std::string());
}

// RFC 8461 section 4.2. One address that passes is enough: a sender tries the next one.
Verdict judge_addresses(const MxHost& host) {
  const std::string name = shown(host.host);
  Verdict verdict{Fate::CannotTell, name + " was not tried"};
  for (const Fact<Smtp>& smtp : host.smtp) {
    if (smtp.known() && passes(smtp.value)) {
      return {Fate::Delivered, ""};
    }
    if (!smtp.known()) {
      return {Fate::CannotTell, name + ": " + shown(smtp.why)};
    }
    verdict = {Fate::Deferred, name + " " + failure_of(smtp.value)};
  }
  return verdict;
}

Verdict judge(const std::vector<mtasts::MxPattern>& patterns, const MxHost& host, bool smtp) {
  // RFC 8461 section 4.1.
  if (!host.name || !mtasts::matches_any(patterns, *host.name)) {
    return {Fate::Deferred, shown(host.host) + " matches no pattern"};
  }
  if (smtp && host.addresses.absent()) {
    return {Fate::NoMail, shown(host.host) + " has no address"};
  }
  return smtp ? judge_addresses(host) : Verdict{Fate::Delivered, ""};
}

}  // namespace

std::string_view to_string(Fate outcome) {
  switch (outcome) {
    case Fate::Delivered:
      return "delivered";
    case Fate::Deferred:
      return "deferred";
    case Fate::NoMail:
      return "no-mail";
    case Fate::CannotTell:
      break;
  }
  return "unknown";
}

Delivery delivery_of(const std::vector<mtasts::MxPattern>& patterns, const Fact<MailServers>& mail,
                     bool smtp) {
  if (mail.absent()) {
    return {Fate::NoMail, mail.why};
  }
  if (!mail.known()) {
    return {Fate::CannotTell, "the MX hosts could not be looked up: " + mail.why};
  }
  if (mail.value.null_mx) {
    return {Fate::NoMail, "the domain takes no mail (null MX)"};
  }
  std::vector<Verdict> verdicts;
  for (const MxHost& host : mail.value.hosts) {
    verdicts.push_back(judge(patterns, host, smtp));
  }
  if (mail.value.left_out > 0) {
    verdicts.push_back({Fate::CannotTell, "there are more MX hosts than are looked at"});
  }
  // The best that there is for a host is what becomes of the mail.
  for (const Fate outcome : {Fate::Delivered, Fate::CannotTell, Fate::Deferred}) {
    const auto is_one = [outcome](const Verdict& one) { return one.outcome == outcome; };
    if (std::none_of(verdicts.begin(), verdicts.end(), is_one)) {
      continue;
    }
    std::erase_if(verdicts, [outcome](const Verdict& one) {
      return one.why.empty() || (outcome != Fate::Delivered && one.outcome != outcome);
    });
    return {outcome, joined(verdicts, "; ", [](const Verdict& one) { return one.why; })};
  }
  return {Fate::NoMail, "no MX host has an address"};
}

}  // namespace mtastsd::check
