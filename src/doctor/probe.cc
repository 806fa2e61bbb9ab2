#include "probe.h"

#include <grp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "mtastsd/base/unix_socket.h"
#include "tables.h"

namespace mtastsd::doctor {
namespace {

// More certificates than any store has; a file that goes on is looked at no further.
constexpr int kMaxCertificates = 10000;
constexpr int kMaxGroups = 256;
constexpr int kMaxLinks = 8;
// A socket that neither takes nor refuses has a full queue: smtp(8) would wait, too.
constexpr unsigned kConnectSeconds = 5;

struct FileClose {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct X509Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

// "5ed36f99.0": what OpenSSL looks for by the hash of a subject.
bool is_hashed_name(const std::string& name) {
  constexpr std::size_t kHash = 8;
  const auto hex = [](unsigned char c) { return std::isxdigit(c) != 0; };
  const auto digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  return name.size() > kHash + 1 && name[kHash] == '.' &&
         std::all_of(name.begin(), name.begin() + kHash, hex) &&
         std::all_of(name.begin() + kHash + 1, name.end(), digit);
}

// Follows links as a process in the chroot at `root` does: one to /usr/share is one in there.
bool is_file_below(const std::string& root, std::filesystem::path path) {
  std::error_code error;
  for (int links = 0; links < kMaxLinks; ++links) {
    const std::filesystem::path here = root + path.string();
    const std::filesystem::path target = std::filesystem::read_symlink(here, error);
    if (error) {
      return std::filesystem::is_regular_file(here, error);
    }
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return false;
}

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

std::optional<User> find_user(const std::string& name) {
  const passwd* entry = ::getpwnam(name.c_str());
  if (entry == nullptr) {
    return std::nullopt;
  }
  User user{entry->pw_uid, entry->pw_gid, std::vector<gid_t>(kMaxGroups)};
  int count = kMaxGroups;
  if (::getgrouplist(name.c_str(), user.gid, user.groups.data(), &count) < 0) {
    count = kMaxGroups;
  }
  user.groups.resize(static_cast<std::size_t>(count));
  return user;
}

// Whose permission counts for the user: 'u', 'g' or 'o'.
char class_of(const User& user, const struct stat& info) {
  if (info.st_uid == user.uid) {
    return 'u';
  }
  const bool member =
      std::find(user.groups.begin(), user.groups.end(), info.st_gid) != user.groups.end();
  return member ? 'g' : 'o';
}

bool may(char who, const struct stat& info, unsigned bit) {
  return (info.st_mode & (who == 'u' ? bit << 6 : who == 'g' ? bit << 3 : bit)) != 0;
}

std::string describe(const struct stat& info) {
  const passwd* user = ::getpwuid(info.st_uid);
  const std::string owner = user != nullptr ? user->pw_name : std::to_string(info.st_uid);
  const group* entry = ::getgrgid(info.st_gid);
  const std::string members = entry != nullptr ? entry->gr_name : std::to_string(info.st_gid);
  char mode[8];
  std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(info.st_mode & 07777));
  return std::string(mode) + " " + owner + ":" + members;
}

// The directories that the user may not search, and the socket that they may not write.
void find_blocks(const User& user, const std::string& path, SocketReach& reach) {
  std::filesystem::path walked;
  const std::filesystem::path whole(path);
  for (const auto& part : whole) {
    walked /= part;
    struct stat info {};
    if (::stat(walked.c_str(), &info) != 0) {
      return;
    }
    const unsigned bit = S_ISDIR(info.st_mode) ? S_IXOTH : S_IWOTH;
    const char who = class_of(user, info);
    if (!may(who, info, bit)) {
      reach.blocked.push_back({walked.string(), describe(info), who});
    }
  }
}

// In the child: 0, or the errno as the exit status.
[[noreturn]] void connect_as(const User& user, const SmtpProcess& process,
                             const std::string& path) {
  const auto address = UnixAddress::of(path);
  if (!address) {
    ::_exit(ENAMETOOLONG);
  }
  // The kernel ends the child, should connect(2) not return.
  ::alarm(kConnectSeconds);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::chdir(process.directory.c_str()) != 0 || (process.chroot && ::chroot(".") != 0) ||
      ::setgroups(user.groups.size(), user.groups.data()) != 0 || ::setgid(user.gid) != 0 ||
      ::setuid(user.uid) != 0 || ::connect(fd, address->get(), address->size) != 0) {
    ::_exit(errno);
  }
  ::_exit(0);
}

}  // namespace

Authorities look_at_ca_file(const std::string& path) {
  Authorities found;
  const std::unique_ptr<std::FILE, FileClose> file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) {
    found.reason = std::strerror(errno);
    return found;
  }
  ERR_clear_error();
  while (found.usable + found.expired < kMaxCertificates) {
    const std::unique_ptr<X509, X509Free> one(
        PEM_read_X509_AUX(file.get(), nullptr, nullptr, nullptr));
    if (one == nullptr) {
      break;
    }
    ++(X509_cmp_current_time(X509_get0_notAfter(one.get())) < 0 ? found.expired : found.usable);
  }
  // At the end of the file, OpenSSL finds no further certificate. Any other reason is a broken one.
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
    found.reason = "has something in it that is not a certificate";
  } else if (found.usable + found.expired == 0) {
    found.reason = "has no certificate in it";
  }
  ERR_clear_error();
  return found;
}

Authorities look_at_ca_path(const std::string& root, const std::string& path) {
  Authorities found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(root + path, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (is_hashed_name(name) && found.usable < kMaxCertificates &&
        is_file_below(root, std::filesystem::path(path) / name)) {
      ++found.usable;
    }
  }
  if (error) {
    found.reason = std::strerror(error.value());
  }
  return found;
}

SocketReach try_socket(const SmtpProcess& process, const std::string& path) {
  SocketReach reach;
  const auto user = find_user(process.user);
  if (!user) {
    reach.error = ESRCH;
    return reach;
  }
  const pid_t pid = ::fork();
  if (pid < 0) {
    reach.error = errno;
    return reach;
  }
  if (pid == 0) {
    connect_as(*user, process, path);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  reach.error = WIFEXITED(status) ? WEXITSTATUS(status) : ETIMEDOUT;
  if (reach.error == EACCES) {
    find_blocks(*user, real_path(path, process.chroot, process.directory), reach);
  }
  return reach;
}

}  // namespace mtastsd::doctor
