#include "mtastsd/https/authorities.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include "mtastsd/log/log.h"

namespace mtastsd::https {
namespace {

// A file that changes again within this time can look the same.
constexpr std::time_t kTimestampSeconds = 1;
constexpr std::size_t kMaxFiles = 10000;  // of a directory

bool same(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// "244b5494.0".
bool is_hashed(const std::string& name) {
  constexpr std::size_t kHash = 8;
  return name.size() > kHash + 1 && name[kHash] == '.' &&
         name.find_first_not_of("0123456789abcdef") == kHash &&
         name.find_first_not_of("0123456789", kHash + 1) == std::string::npos;
}

bool load_directory(X509_STORE* store, const std::string& path) {
  std::size_t files = 0;
  bool any = false;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!is_hashed(entry->path().filename().string()) || ++files > kMaxFiles) {
      continue;
    }
    any = X509_STORE_load_file(store, entry->path().c_str()) == 1 || any;
    ERR_clear_error();
  }
  return any;
}

// OpenSSL works out what a certificate may do when it is first used. Done here, a store that
// several threads share is not written to by them.
void work_out_purposes(X509_STORE* store) {
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(store);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    if (X509* certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i))) {
      X509_check_purpose(certificate, -1, 0);
    }
  }
}

}  // namespace

bool load_authorities(X509_STORE* store, const std::string& path) {
  if (is_directory(path)) {
    return load_directory(store, path);
  }
  const bool loaded = X509_STORE_load_file(store, path.c_str()) == 1;
  ERR_clear_error();
  return loaded;
}

std::string system_ca_file() {
  // As for OpenSSL itself.
  if (const char* named = std::getenv("SSL_CERT_FILE"); named != nullptr && *named != '\0') {
    return named;
  }
  for (const char* path : {
           "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Alpine, Arch
           "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // Red Hat
           "/etc/pki/tls/certs/ca-bundle.crt",                   // Red Hat before 10
           "/var/lib/ca-certificates/ca-bundle.pem",             // SUSE
           "/etc/ssl/ca-bundle.pem",                             // SUSE
           "/etc/ca-certificates/extracted/tls-ca-bundle.pem",   // Arch
           "/etc/ssl/certs/ca-bundle.crt",
           "/etc/ssl/cert.pem",  // Alpine, the BSDs
       }) {
    if (::access(path, R_OK) == 0) {
      return path;
    }
  }
  return "";
}

std::shared_ptr<X509_STORE> Authorities::store() const {
  const std::lock_guard lock(mutex_);
  return store_;
}

std::string Authorities::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

std::string Authorities::file() const {
  const std::lock_guard lock(mutex_);
  return file_;
}

void Authorities::refresh() {
  const std::lock_guard lock(mutex_);
  file_ = path_.empty() ? system_ca_file() : path_;
  struct stat now {};
  if (file_.empty()) {
    seen_.reset();
    problem_ =
        "no CA certificates were found on this system: install the package ca-certificates, or "
        "set [https] ca_file";
  } else if (::stat(file_.c_str(), &now) != 0) {
    seen_.reset();
    problem_ = "cannot read " + file_ + ": " + std::strerror(errno);
  } else if (!seen_ || !same(*seen_, now)) {
    seen_.reset();
    if (std::abs(std::time(nullptr) - now.st_ctim.tv_sec) > kTimestampSeconds) {
      seen_ = now;
    }
    read();
  }
}

void Authorities::read() {
  if (::access(file_.c_str(), R_OK) != 0) {
    problem_ = "cannot read " + file_ + ": " + std::strerror(errno);
    return;
  }
  std::shared_ptr<X509_STORE> store(X509_STORE_new(), X509_STORE_free);
  if (!store) {
    throw std::bad_alloc();
  }
  if (!load_authorities(store.get(), file_)) {
    problem_ = is_directory(file_)
                   ? file_ + " has no certificates under their hashes: \"openssl rehash " + file_ +
                         "\" makes the links"
                   : file_ + " holds no certificates in PEM form";
    return;
  }
  work_out_purposes(store.get());
  problem_.clear();
  store_ = std::move(store);
}

AuthoritiesWatch::AuthoritiesWatch(event::Timers& timers, Log& log, Authorities& authorities)
    : log_(log), authorities_(authorities), timer_(timers.make_timer([this] { look(); })) {
  look();
}

void AuthoritiesWatch::look() {
  authorities_.refresh();
  if (const std::string problem = authorities_.problem(); !problem.empty()) {
    log_.write(Event::CaFileUnreadable, {{"path", authorities_.file()}, {"reason", problem}});
  }
  timer_->arm(kEvery);
}

std::string problem_with_ca_file(const std::string& path) {
  Authorities authorities(path);
  authorities.refresh();
  return authorities.problem();
}

}  // namespace mtastsd::https
