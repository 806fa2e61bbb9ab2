#include "postconf.h"

#include <algorithm>

namespace mtastsd::doctor {
namespace {

constexpr std::string_view kBlank = " \t\r";
constexpr std::size_t kMaxWarnings = 32;

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// Calls `use` with both sides of "name = value".
template <typename Use>
void for_each_pair(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equal = line.find('=');
    if (equal != std::string_view::npos) {
      use(trim(line.substr(0, equal)), trim(line.substr(equal + 1)));
    }
  }
}

// The same where the name is "relay/unix/chroot": calls `use` with "relay/unix", "chroot" and the
// value.
template <typename Use>
void for_each_field(std::string_view text, Use use) {
  for_each_pair(text, [&](std::string_view name, std::string_view value) {
    const std::size_t slash = name.rfind('/');
    if (slash != std::string_view::npos) {
      use(name.substr(0, slash), name.substr(slash + 1), value);
    }
  });
}

}  // namespace

std::map<std::string, std::string, std::less<>> parse_parameters(std::string_view text) {
  std::map<std::string, std::string, std::less<>> found;
  for_each_pair(text, [&](std::string_view name, std::string_view value) {
    found[std::string(name)] = value;
  });
  return found;
}

Warnings parse_warnings(std::string_view errors) {
  constexpr std::string_view kTwice = ": overriding earlier entry: ";
  constexpr std::string_view kUnknown = ": unused parameter: ";
  Warnings warnings;
  const auto add = [](std::vector<std::string>& list, std::string_view text) {
    if (list.size() < kMaxWarnings && std::find(list.begin(), list.end(), text) == list.end()) {
      list.emplace_back(text);
    }
  };
  while (!errors.empty()) {
    const std::size_t end = std::min(errors.find('\n'), errors.size());
    const std::string_view line = errors.substr(0, end);
    errors.remove_prefix(std::min(end + 1, errors.size()));
    if (const std::size_t at = line.find(kTwice); at != std::string_view::npos) {
      const std::string_view setting = line.substr(at + kTwice.size());
      add(warnings.twice, setting.substr(0, setting.find('=')));
    } else if (const std::size_t found = line.find(kUnknown); found != std::string_view::npos) {
      add(warnings.unknown, line.substr(found + kUnknown.size()));
    }
  }
  return warnings;
}

Master parse_master(std::string_view fields, std::string_view overrides, bool chroot_default) {
  Master master;
  bool chroot = false;
  // The fields of a service stand together, and its command is the last of them.
  for_each_field(fields,
                 [&](std::string_view name, std::string_view field, std::string_view value) {
                   if (field == "chroot") {
                     chroot = value == "-" ? chroot_default : value == "y";
                   } else if (field == "command") {
                     const std::string_view program = value.substr(0, value.find_first_of(kBlank));
                     if (program == "smtp" && master.smtp.size() < kMaxServices) {
                       master.smtp.push_back({std::string(name), chroot, {}});
                       return;
                     }
                     if (program == "proxymap" && name == "proxymap/unix") {
                       master.proxymap_chroot = chroot;
                     }
                     master.others.emplace_back(name);
                   }
                 });
  for_each_field(overrides,
                 [&](std::string_view name, std::string_view field, std::string_view value) {
                   for (SmtpService& service : master.smtp) {
                     if (service.name == name) {
                       service.overrides[std::string(field)] = value;
                     }
                   }
                 });
  return master;
}

}  // namespace mtastsd::doctor
