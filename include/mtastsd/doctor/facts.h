#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// The result of a `postmap -q` query.
struct TableAnswer {
  bool good = false;   // found or not found
  std::string reason;  // otherwise what postmap printed
};

// The result of connect(2) to a unix socket as smtp(8) does it: as Postfix's user and in the
// chroot.
struct SocketReach {
  int error = 0;             // errno, or 0 if connected
  std::string blocked;       // for EACCES: the first path component that Postfix may not pass
  std::string blocked_mode;  // its mode and owner: "0700 mtastsd:mtastsd"
};

// The certificates of a CAfile, or the names of a CApath that OpenSSL can look up.
struct Authorities {
  std::string reason;  // why there are none
  int usable = 0;
  int expired = 0;
};

// A DNS server that mtastsd asks.
struct Resolver {
  std::string server;
  bool trusted = false;           // its word on DNSSEC counts
  std::optional<bool> validates;  // nullopt: it did not answer
};

// A table or a path, and whether it is used from inside the chroot.
using Place = std::pair<std::string, bool>;

struct Facts {
  std::string version;  // "3.7.11"
  std::string config_directory;
  bool has_socketmap = false;                            // this Postfix was built with it
  std::map<std::string, std::string, std::less<>> main;  // main.cf with $names expanded
  std::vector<SmtpService> services;
  bool proxymap_chroot = false;

  std::string config_path;   // mtastsd's; empty: built in
  std::string config_error;  // why it could not be read
  config::Config daemon;

  std::map<Place, TableAnswer> tables;   // as in main.cf, without "proxy:"
  std::map<Place, SocketReach> sockets;  // by the path as in main.cf; not without root
  // The user who serves a socketmap table, by the table as in main.cf, if that is neither root nor
  // the user of mtastsd.
  std::map<Place, std::string> strangers;
  std::map<std::string, Authorities> ca_files;
  std::map<Place, Authorities> ca_paths;
  std::vector<Resolver> resolvers;  // only if a map does DANE
  bool root = false;

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
