#include "mtastsd/check/delivery.h"

#include <gtest/gtest.h>

namespace mtastsd::check {
namespace {

using Fate = Delivery::Outcome;

// "good", "plain", "broken", "cert" or "late": what is found at an address of a host.
Fact<Smtp> found(const std::string& what) {
  if (what == "late") {
    return Fact<Smtp>::unknown("timeout");
  }
  Smtp smtp;
  smtp.starttls = what != "plain";
  smtp.tls_error = what == "broken" ? "no shared cipher" : "";
  smtp.certificate = https::Certificate{};
  smtp.certificate->chain_trusted = smtp.certificate->in_time = true;
  smtp.certificate->name_matches = what == "good";
  smtp.certificate->problem = what == "good" ? "" : "hostname mismatch";
  return Fact<Smtp>::is(smtp);
}

struct Host {
  std::string name;
  std::vector<std::string> addresses;
};

Fact<MailServers> servers(const std::vector<Host>& hosts) {
  MailServers mail;
  for (const Host& host : hosts) {
    MxHost& one = mail.hosts.emplace_back();
    one.host = host.name;
    one.name = DomainName::parse(host.name);
    one.addresses =
        host.addresses.empty() ? Fact<AddressRecords>::none("no address") : Fact<AddressRecords>{};
    for (const std::string& what : host.addresses) {
      one.smtp.push_back(found(what));
    }
  }
  return Fact<MailServers>::is(mail);
}

Delivery delivery(const Fact<MailServers>& mail, bool smtp) {
  return delivery_of(
      {*mtasts::MxPattern::parse("mx.example"), *mtasts::MxPattern::parse("*.mail.example")}, mail,
      smtp);
}

struct Case {
  const char* name;
  std::vector<Host> hosts;
  Fate by_name;
  Fate by_smtp;
  const char* why;  // of by_smtp
};

TEST(Delivery, OneHostThatPassesIsEnough) {
  const Case cases[] = {
      {"all is well", {{"mx.example", {"good"}}}, Fate::Delivered, Fate::Delivered, ""},
      {"a wildcard is one label (RFC 8461 section 4.1)",
       {{"a.b.mail.example", {"good"}}},
       Fate::Deferred,
       Fate::Deferred,
       "a.b.mail.example matches no pattern"},
      {"one of two names",
       {{"x.example", {"good"}}, {"a.mail.example", {"good"}}},
       Fate::Delivered,
       Fate::Delivered,
       "x.example matches no pattern"},
      {"no host name", {{"*", {"good"}}}, Fate::Deferred, Fate::Deferred, "* matches no pattern"},
      {"no STARTTLS",
       {{"mx.example", {"plain"}}},
       Fate::Delivered,
       Fate::Deferred,
       "mx.example offers no STARTTLS"},
      {"the handshake fails",
       {{"mx.example", {"broken"}}},
       Fate::Delivered,
       Fate::Deferred,
       "mx.example fails at TLS: no shared cipher"},
      {"the certificate",
       {{"mx.example", {"cert"}}},
       Fate::Delivered,
       Fate::Deferred,
       "mx.example has a certificate that does not pass: hostname mismatch"},
      {"one of two addresses",
       {{"mx.example", {"plain", "good"}}},
       Fate::Delivered,
       Fate::Delivered,
       ""},
      {"not found out",
       {{"mx.example", {"late"}}, {"x.example", {}}},
       Fate::Delivered,
       Fate::CannotTell,
       "mx.example: timeout"},
      {"the good one has no address",
       {{"mx.example", {}}, {"a.mail.example", {"plain"}}},
       Fate::Delivered,
       Fate::Deferred,
       "a.mail.example offers no STARTTLS"},
      {"no address at all",
       {{"mx.example", {}}},
       Fate::Delivered,
       Fate::NoMail,
       "no MX host has an address"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(delivery(servers(c.hosts), false).outcome, c.by_name) << c.name;
    const Delivery by_smtp = delivery(servers(c.hosts), true);
    EXPECT_EQ(by_smtp.outcome, c.by_smtp) << c.name;
    EXPECT_EQ(by_smtp.why, c.why) << c.name;
  }
}

TEST(Delivery, WhereNoMailGoesNothingIsDeferred) {
  MailServers null_mx;
  null_mx.null_mx = true;
  EXPECT_EQ(delivery(Fact<MailServers>::is(null_mx), false).outcome, Fate::NoMail);
  EXPECT_EQ(delivery(Fact<MailServers>::none("no address"), false).outcome, Fate::NoMail);
}

// A failed lookup is no mismatch.
TEST(Delivery, WhatCouldNotBeLookedUpIsNotKnown) {
  EXPECT_EQ(delivery(Fact<MailServers>::unknown("SERVFAIL"), false).outcome, Fate::CannotTell);
  Fact<MailServers> many = servers({{"x.example", {"good"}}});
  many.value.left_out = 1;
  EXPECT_EQ(delivery(many, false).outcome, Fate::CannotTell);
}

}  // namespace
}  // namespace mtastsd::check
