// The handler looks at a table of mappings, which is only atomics, and makes one system call.

#include "map_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace mtastsd::cache {
namespace {

struct Mapping {
  std::atomic<std::uintptr_t> begin{0};  // 0: nothing is guarded
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> lost{false};
};

constexpr std::size_t kMaxMappings = 32;
std::array<Mapping, kMaxMappings> mappings;
constexpr std::uintptr_t kEmptyPages = 64;
std::atomic<int> empty_pages{-1};  // a file of so many
std::uintptr_t page_size = 0;
struct sigaction former_action;

// Neighbours come from neighbouring places of the file, so that the kernel makes one mapping of
// them: a process may have some ten thousands.
bool put_empty_page(std::uintptr_t at) {
  const std::uintptr_t number = at / page_size;
  void* const page = reinterpret_cast<void*>(number * page_size);
  const auto offset = static_cast<off_t>(number % kEmptyPages * page_size);
  return ::mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_FIXED, empty_pages, offset) == page;
}

void on_bus_error(int, siginfo_t* info, void*) {
  const int saved = errno;
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (Mapping& mapping : mappings) {
    if (at >= mapping.begin && at < mapping.end) {
      mapping.lost = true;
      if (put_empty_page(at)) {
        errno = saved;
        return;
      }
    }
  }
  // Not ours: it happens again on return, and ends the process as if nobody had looked.
  ::sigaction(SIGBUS, &former_action, nullptr);
}

// LMDB 0.9's layout of a leaf with one node, of an empty key and nothing in it (without any, "the
// last one" would be far behind the page), which at the same time is a meta page of trees without
// a root.
struct EmptyPage {
  struct Tree {
    std::uint32_t padding = 0;
    std::uint16_t flags = 0;
    std::uint16_t depth = 0;
    std::array<std::size_t, 4> pages_and_entries{};
    std::size_t root = ~std::size_t{0};  // none
  };
  static constexpr std::uint16_t kNode = 4088;  // zeros up to the end of the page
  std::array<std::uint16_t, 5> number_and_padding{};
  std::uint16_t flags = 2;  // a leaf
  std::uint16_t slots_end = 18;
  std::uint16_t nodes_begin = kNode;
  std::array<std::uint16_t, 4> slots{kNode};  // a meta page has its magic number and version here
  std::array<std::size_t, 2> address_and_size{};
  std::array<Tree, 2> trees;
};
static_assert(offsetof(EmptyPage, flags) == 10 && offsetof(EmptyPage, slots) == 16);

// Once in a process.
bool install() {
  page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const EmptyPage page;
  const int fd = ::memfd_create("mtastsd-empty-pages", MFD_CLOEXEC);
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(kEmptyPages * page_size)) != 0) {
    return false;
  }
  for (std::uintptr_t i = 0; i < kEmptyPages; ++i) {
    if (::pwrite(fd, &page, sizeof(page), static_cast<off_t>(i * page_size)) !=
        static_cast<ssize_t>(sizeof(page))) {
      return false;
    }
  }
  empty_pages = fd;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  return ::sigaction(SIGBUS, &action, &former_action) == 0;
}

struct Range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

// The mapping that holds the address: lines of "begin-end rights ..." in hexadecimal.
Range mapping_around(const void* inside) {
  const auto address = reinterpret_cast<std::uintptr_t>(inside);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Range range;
    const char* const end = line.data() + line.size();
    const auto first = std::from_chars(line.data(), end, range.begin, 16);
    if (first.ec != std::errc() || first.ptr == end) {
      continue;
    }
    const auto second = std::from_chars(first.ptr + 1, end, range.end, 16);
    if (second.ec == std::errc() && address >= range.begin && address < range.end) {
      return range;
    }
  }
  return {};
}

}  // namespace

MapGuard::MapGuard(const void* inside) {
  static const bool installed = install();
  const Range range = installed ? mapping_around(inside) : Range{};
  if (range.begin == 0) {
    return;
  }
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    std::uintptr_t none = 0;
    if (mappings[i].begin.compare_exchange_strong(none, range.begin)) {
      mappings[i].lost = false;
      mappings[i].end = range.end;
      place_ = i;
      return;
    }
  }
}

MapGuard::~MapGuard() {
  if (place_ != kNone) {
    mappings[place_].end = 0;
    mappings[place_].begin = 0;
  }
}

bool MapGuard::lost_pages() const {
  return place_ != kNone && mappings[place_].lost.load(std::memory_order_relaxed);
}

}  // namespace mtastsd::cache
