#include "postconf.h"

#include <algorithm>
#include <optional>

namespace mtastsd::doctor {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

struct Pair {
  std::string_view name;
  std::string_view value;
};

template <typename Use>
void for_each_pair(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equal = line.find('=');
    if (equal != std::string_view::npos) {
      use(Pair{trim(line.substr(0, equal)), trim(line.substr(equal + 1))});
    }
  }
}

// "relay/unix/chroot" to "relay/unix" and "chroot".
std::optional<Pair> split_field(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  return Pair{name.substr(0, slash), name.substr(slash + 1)};
}

struct Entry {
  std::string program;
  bool chroot = false;
};

}  // namespace

std::map<std::string, std::string, std::less<>> parse_parameters(std::string_view text) {
  std::map<std::string, std::string, std::less<>> found;
  for_each_pair(text, [&](const Pair& pair) { found[std::string(pair.name)] = pair.value; });
  return found;
}

Master parse_master(std::string_view fields, std::string_view overrides, bool chroot_default) {
  std::vector<std::string> order;
  std::map<std::string, Entry, std::less<>> entries;
  for_each_pair(fields, [&](const Pair& pair) {
    const auto field = split_field(pair.name);
    if (!field) {
      return;
    }
    const std::string service(field->name);
    if (entries.find(service) == entries.end()) {
      order.push_back(service);
    }
    Entry& entry = entries[service];
    if (field->value == "chroot") {
      entry.chroot = pair.value == "-" ? chroot_default : pair.value == "y";
    } else if (field->value == "command") {
      entry.program = pair.value.substr(0, pair.value.find_first_of(kBlank));
    }
  });
  Master master;
  for (const std::string& name : order) {
    const Entry& entry = entries[name];
    if (entry.program == "smtp" && master.smtp.size() < kMaxServices) {
      master.smtp.push_back({name, entry.chroot, {}});
    } else if (entry.program == "proxymap" && name == "proxymap/unix") {
      master.proxymap_chroot = entry.chroot;
    }
  }
  for_each_pair(overrides, [&](const Pair& pair) {
    const auto field = split_field(pair.name);
    if (!field) {
      return;
    }
    for (SmtpService& service : master.smtp) {
      if (service.name == field->name) {
        service.overrides[std::string(field->value)] = pair.value;
      }
    }
  });
  return master;
}

}  // namespace mtastsd::doctor
