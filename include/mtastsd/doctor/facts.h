#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/config/config.h"

// The facts about the Postfix of this host that `mtastsctl doctor` gathers. Judging them is in
// findings.h.
namespace mtastsd::doctor {

// A line of master.cf that runs smtp(8).
struct SmtpService {
  std::string name;  // "relay/unix"
  bool chroot = false;
  std::map<std::string, std::string, std::less<>> overrides;  // its "-o" settings
};

// How a table answers the question about a name that cannot exist.
struct TableAnswer {
  bool good = false;         // found or not found
  std::string reason;        // otherwise why not
  std::string everything{};  // what it has for that name: it matches every domain
  bool hidden = false;       // this user may not use it
  bool has_source = false;   // `postmap` can build it
  bool elsewhere = false;    // the server is on another host
};

// An address in mtastsd's configuration.
struct Listener {
  bool answers = false;             // as mtastsd does
  int error = 0;                    // otherwise why mtastsd could not listen there, an errno
  std::string missing_directory{};  // of the unix socket, for ENOENT
};

// A part of a path that Postfix's user may not pass.
struct Block {
  std::string path;
  std::string mode;  // and owner: "0700 mtastsd:mtastsd"
  char who = 'o';    // whose permission it lacks, as for chmod(1): 'u', 'g' or 'o'
};

// The result of connect(2) to a unix socket as smtp(8) does it: as Postfix's user and in the
// chroot.
struct SocketReach {
  int error = 0;                 // errno, or 0 if connected
  std::vector<Block> blocked{};  // for EACCES
};

// The certificates of a CAfile, or the names of a CApath that OpenSSL can look up.
struct Authorities {
  std::string reason;  // why there are none
  int usable = 0;
  int expired = 0;
};

// A question to mtastsd about a real name, and what became of it.
struct Question {
  std::string domain;
  std::string table;  // as in main.cf
  std::string reply;  // "OK secure match=..."; empty: none
  std::string error;  // why there is none
  Milliseconds took{0};
};

// A lookup by mtastsd's DNS servers.
struct DnsTrial {
  std::string error;  // empty: an answer came
  Milliseconds took{0};
};

// A systemd unit that is loaded.
struct Unit {
  std::string name;
  std::string active;   // "active", "failed"
  std::string enabled;  // "enabled", "disabled", "static"
};

// A DNS server that mtastsd asks.
struct Resolver {
  std::string server;
  bool trusted = false;           // its word on DNSSEC counts
  std::optional<bool> validates;  // nullopt: it did not answer, or no map does DANE
};

// A table or a path, and whether it is used from inside the chroot.
using Place = std::pair<std::string, bool>;

struct Facts {
  std::string version;  // "3.7.11"
  std::string config_directory;
  std::string postfix_option;                                // " -c DIR" for Postfix's tools
  bool has_socketmap = false;                                // this Postfix was built with it
  std::set<std::string, std::less<>> types;                  // of tables; empty: not known
  std::map<std::string, std::string, std::less<>> main;      // main.cf with $names expanded
  std::map<std::string, std::string, std::less<>> defaults;  // of some of these parameters
  std::vector<std::string> twice;    // parameters that main.cf has more than once
  std::vector<std::string> unknown;  // parameters that Postfix does not know, as in main.cf
  std::vector<SmtpService> services;
  std::vector<std::string> other_services;  // of master.cf: "local/unix"
  bool proxymap_chroot = false;

  std::string config_path;   // mtastsd's; empty: built in
  std::string config_error;  // why it could not be read
  // The lines of it that are wrong, if it can be read without them; `daemon` is then the rest.
  std::vector<std::size_t> config_lines;
  config::Config daemon;
  std::string daemon_user;             // the user in it; empty: there is no such user
  std::string mail_group = "postfix";  // of mail_owner
  bool systemd = true;                 // it runs services here

  std::map<std::string, Listener, std::less<>> listeners;  // by address, as str()
  // Where mtastsd can listen if not where its configuration says.
  config::ListenAddress spare_listen = config::defaults().socketmap.listen.front();

  std::map<Place, TableAnswer> tables;   // as in main.cf, without "proxy:"
  std::map<Place, SocketReach> sockets;  // by the path as in main.cf; not without root
  // The user who serves a socketmap table, by the table as in main.cf, if that is neither root nor
  // the user of mtastsd.
  std::map<Place, std::string> strangers;
  std::map<std::string, Authorities> ca_files;
  std::map<Place, Authorities> ca_paths;
  std::vector<Resolver> resolvers;
  std::optional<DnsTrial> dns;
  std::optional<Question> impossible;  // about a name that does not exist
  std::optional<Question> online;      // about a domain that should be enforced
  std::vector<Unit> units;             // of mtastsd
  bool clock_unsynchronised = false;   // says the kernel
  bool root = false;

  // True if nothing is known of mtastsd's configuration.
  bool config_unknown() const { return !config_error.empty() && config_lines.empty(); }

  std::string_view default_value(std::string_view name) const {
    const auto found = defaults.find(name);
    return found == defaults.end() ? std::string_view{} : std::string_view(found->second);
  }
  std::string_view main_value(std::string_view name) const {
    const auto found = main.find(name);
    return found == main.end() ? std::string_view{} : std::string_view(found->second);
  }
};

// The value that a service uses: its own "-o", or otherwise the one from main.cf.
inline std::string_view value_for(const Facts& facts, const SmtpService& service,
                                  std::string_view name) {
  const auto own = service.overrides.find(name);
  return own == service.overrides.end() ? facts.main_value(name) : std::string_view(own->second);
}

// True if the process that opens a table is in the chroot: smtp(8), or proxymap(8) on its behalf.
inline bool in_chroot(const Facts& facts, const SmtpService& service, bool proxied) {
  return proxied ? facts.proxymap_chroot : service.chroot;
}

}  // namespace mtastsd::doctor
