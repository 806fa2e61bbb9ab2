#pragma once

#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "mtastsd/event/loop.h"

namespace mtastsd {
class Log;
}

struct x509_store_st;

namespace mtastsd::https {

// The path of the CA bundle of this system: SSL_CERT_FILE of the environment, or where the
// distributions have it. Empty if there is none.
std::string system_ca_file();

// The certificate authorities of a PEM bundle, or of a directory that "openssl rehash" has
// prepared, of which the files that are named by a hash count. Only those that are their own
// issuers are anchors: an intermediate certificate in the file helps to build chains, and does not
// end one. Any thread may use it.
class Authorities {
 public:
  // An empty path stands for system_ca_file().
  explicit Authorities(std::string path) : path_(std::move(path)) {}
  // Reads the file or directory if it has changed since it was read. While it cannot be read, what
  // was read before stays in use.
  void refresh();

  // Null if nothing could be read so far.
  std::shared_ptr<x509_store_st> store() const;
  // Why the file could not be read the last time. Empty if it could.
  std::string problem() const;
  // The file or directory that was looked at, empty if there is none.
  std::string file() const;

 private:
  void read();

  const std::string path_;
  mutable std::mutex mutex_;  // of all below
  std::string file_;
  std::string problem_;
  std::optional<struct stat> seen_;  // of the file that was read, or tried
  std::shared_ptr<x509_store_st> store_;
};

// Looks at the file when it is made and every kEvery, and says in the log each time when it cannot
// be read (CaFileUnreadable).
class AuthoritiesWatch {
 public:
  static constexpr std::chrono::minutes kEvery{10};

  AuthoritiesWatch(event::Timers& timers, Log& log, Authorities& authorities);

 private:
  void look();

  Log& log_;
  Authorities& authorities_;
  std::unique_ptr<event::Timer> timer_;
};

// Adds the authorities of a bundle or a hashed directory. False if there are none.
bool load_authorities(x509_store_st* store, const std::string& path);

// Why no authorities can be read from the file or directory, or from the system's for an empty
// path; empty if they can. Reads all of it.
std::string problem_with_ca_file(const std::string& path);

}  // namespace mtastsd::https
