#pragma once

#include <string>

#include "mtastsd/doctor/facts.h"

// The looks at files and sockets that `mtastsctl doctor` takes itself.
namespace mtastsd::doctor {

// Takes the certificates of a CAfile as OpenSSL does.
Authorities look_at_ca_file(const std::string& path);

// Counts the certificates that OpenSSL can find by their hash in a CApath, seen by a process
// chrooted to `root` (empty: not chrooted).
Authorities look_at_ca_path(const std::string& root, const std::string& path);

struct SmtpProcess {
  std::string user;       // Postfix's mail_owner
  std::string directory;  // the queue directory
  bool chroot = false;
};

// Connects to a unix socket as smtp(8) does, in a child process that becomes the user. Needs
// root. `path` is as in main.cf.
SocketReach try_socket(const SmtpProcess& process, const std::string& path);

}  // namespace mtastsd::doctor
