// The layout of a page, in the byte order of the machine:
//   0 u64 its number   10 u16 flags   12 u16 end of the offsets   14 u16 begin of the nodes
//   16 offsets of the nodes, u16 each, in the order of their keys
// or, of an overflow page, 12 u32 how many pages follow one another, and the data from 16 on. A
// node:
//   0 u16, 2 u16, 4 u16, 6 u16 length of the key, 8 key, then the data of a leaf
// where the first three are the number of a branch's child page, or of a leaf 32 bits of the length
// of the data and 16 bits of flags. Data of a leaf with the flag "big" is the u64 number of an
// overflow page, that with the flag "tree" describes another table:
//   4 u16 flags  6 u16 depth  32 u64 number of keys  40 u64 number of the root page
// A meta page has at 16 its magic number, at 40 and 88 such descriptions of the free list (whose
// first u32 is the size of a page) and of the table of tables, at 144 the number of its
// transaction.

#include "lmdb/pages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

#include "lmdb/env.h"
#include "mtastsd/base/fd.h"

namespace mtastsd::cache {
namespace {

static_assert(sizeof(std::size_t) == 8, "LMDB's pages are laid out differently");

constexpr std::size_t kHeader = 16;
constexpr std::size_t kNodeHeader = 8;
constexpr std::size_t kTreeBytes = 48;
constexpr std::size_t kMaxDepth = 32;                    // LMDB's own limit
constexpr std::size_t kMaxData = std::size_t{16} << 20;  // far more than any record has
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::uint16_t kBranch = 1, kLeaf = 2, kOverflow = 4;  // flags of a page
constexpr std::uint16_t kBig = 1, kTree = 2;                    // flags of a node

template <typename T>
T load(std::string_view bytes, std::size_t at) {
  T value{};
  if (at + sizeof(T) <= bytes.size()) {
    std::memcpy(&value, bytes.data() + at, sizeof(T));
  }
  return value;
}

struct Tree {
  std::uint64_t root = kNoPage;
  std::uint64_t keys = 0;
};

Tree tree_at(std::string_view bytes, std::size_t at) {
  return {load<std::uint64_t>(bytes, at + 40), load<std::uint64_t>(bytes, at + 32)};
}

// A node of a page, or nothing where its offset or its lengths lead out of the page.
struct Node {
  std::uint64_t child = 0;  // of a branch
  std::uint16_t flags = 0;  // of a leaf
  std::size_t size = 0;     // of a leaf's data
  std::string_view key;
  std::string_view data;  // the number of its page when it is big
};

class Page {
 public:
  explicit Page(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t number() const { return load<std::uint64_t>(bytes_, 0); }
  std::uint16_t flags() const { return load<std::uint16_t>(bytes_, 10); }
  bool is_node_page() const {
    const auto end = load<std::uint16_t>(bytes_, 12);
    const auto begin = load<std::uint16_t>(bytes_, 14);
    return (flags() == kBranch || flags() == kLeaf) && end >= kHeader && end % 2 == 0 &&
           end <= begin && begin <= bytes_.size();
  }
  std::size_t nodes() const { return (load<std::uint16_t>(bytes_, 12) - kHeader) / 2; }

  std::optional<Node> node(std::size_t index) const {
    const std::size_t at = load<std::uint16_t>(bytes_, kHeader + 2 * index);
    if (at < kHeader || at + kNodeHeader > bytes_.size()) {
      return std::nullopt;
    }
    const std::uint64_t low = load<std::uint16_t>(bytes_, at);
    const std::uint64_t middle = load<std::uint16_t>(bytes_, at + 2);
    const std::uint64_t high = load<std::uint16_t>(bytes_, at + 4);
    const std::size_t key_size = load<std::uint16_t>(bytes_, at + 6);
    Node node;
    node.child = low | middle << 16 | high << 32;
    node.size = low | middle << 16;
    node.flags = static_cast<std::uint16_t>(high);
    const bool leaf = flags() == kLeaf;
    const bool big = leaf && (node.flags & kBig) != 0;
    const std::size_t in_place = !leaf ? 0 : big ? sizeof(std::uint64_t) : node.size;
    if (key_size > bytes_.size() || in_place > bytes_.size() ||
        at + kNodeHeader + key_size + in_place > bytes_.size()) {
      return std::nullopt;
    }
    node.key = bytes_.substr(at + kNodeHeader, key_size);
    node.data = bytes_.substr(at + kNodeHeader + key_size, in_place);
    return node;
  }

 private:
  std::string_view bytes_;
};

class DataFile {
 public:
  explicit DataFile(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct ::stat info {};
    opened_ = ::fstat(fd_.get(), &info) == 0 && S_ISREG(info.st_mode);
    size_ = opened_ ? static_cast<std::uint64_t>(info.st_size) : 0;
  }

  bool empty() const { return size_ == 0; }
  // False where it could not be opened, or so far nothing of it could be read.
  bool readable() const { return opened_ && (empty() || read_any_); }
  std::uint64_t pages() const { return size_ / page_size_; }
  void set_page_size(std::size_t size) { page_size_ = size; }

  // Shorter than asked for where the file ends or cannot be read.
  std::string_view read(std::uint64_t offset, std::size_t size, std::string& buffer) const {
    buffer.resize(size);
    std::size_t got = 0;
    while (got < size) {
      const ssize_t rc =
          ::pread(fd_.get(), buffer.data() + got, size - got, static_cast<off_t>(offset + got));
      if (rc <= 0) {
        break;
      }
      got += static_cast<std::size_t>(rc);
      read_any_ = true;
    }
    return std::string_view(buffer).substr(0, got);
  }
  std::string_view page(std::uint64_t number, std::string& buffer) const {
    return number < pages() ? read(number * page_size_, page_size_, buffer) : std::string_view();
  }

  // The data of a leaf's node; less of it where pages are gone.
  std::string_view data(const Node& node, std::string& buffer) const {
    if ((node.flags & kBig) == 0) {
      return node.data;
    }
    const auto number = load<std::uint64_t>(node.data, 0);
    if (node.size > kMaxData || number >= pages()) {
      return {};
    }
    const std::string_view bytes = read(number * page_size_, kHeader + node.size, buffer);
    const Page page(bytes);
    return page.number() == number && page.flags() == kOverflow ? bytes.substr(kHeader)
                                                                : std::string_view();
  }

 private:
  Fd fd_;
  bool opened_ = false;
  mutable bool read_any_ = false;
  std::uint64_t size_ = 0;
  std::size_t page_size_ = 4096;
};

struct Meta {
  Tree free_list;
  Tree tables;
};

// The newer of the two meta pages.
std::optional<Meta> read_meta(DataFile& file) {
  std::optional<Meta> newest;
  std::uint64_t newest_txn = 0;
  std::size_t page_size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (const int number : {0, 1}) {
    std::string buffer;
    const std::string_view bytes =
        file.read(number * static_cast<std::uint64_t>(page_size), 160, buffer);
    if (load<std::uint32_t>(bytes, kHeader) != kMagic) {
      continue;
    }
    if (const auto size = load<std::uint32_t>(bytes, 40);
        size >= 256 && size <= 65536 && (size & (size - 1)) == 0) {
      page_size = size;
    }
    if (const auto txn = load<std::uint64_t>(bytes, 144); !newest || txn >= newest_txn) {
      newest = Meta{tree_at(bytes, 40), tree_at(bytes, 88)};
      newest_txn = txn;
    }
  }
  file.set_page_size(page_size);
  return newest;
}

// Walks trees, each page once.
class Walk {
 public:
  using Leaf = std::function<bool(const Node& node)>;  // false: no more

  Walk(const DataFile& file, SteadyTime until)
      : file_(file), until_(until), seen_(file.pages(), false) {}

  // Every node of every leaf, in the order of keys. Pages that are lost are passed over.
  void tree(const Tree& tree, const Leaf& leaf) {
    std::uint64_t keys = 0;
    std::vector<Level> path;
    descend(tree.root, path);
    while (!path.empty() && !stopped_) {
      Level& level = path.back();
      const Page page(level.bytes);
      if (level.next == page.nodes()) {
        path.pop_back();
        continue;
      }
      const auto node = page.node(level.next++);
      if (!node) {
        lost_ = true;
      } else if (page.flags() == kBranch) {
        descend(node->child, path);  // Level& is gone.
      } else {
        ++keys;
        stopped_ = !leaf(*node) || ((node->flags & kBig) != 0 && is_late());
      }
    }
    lost_ = lost_ || (!stopped_ && keys != tree.keys);
  }

  // Every node of every leaf that no tree led to.
  void rest(const Leaf& leaf) {
    std::string buffer;
    for (std::uint64_t number = 2; number < seen_.size() && !stopped_; ++number) {
      if (is_late()) {
        stopped_ = true;
        return;
      }
      const Page page(seen_[number] ? std::string_view() : file_.page(number, buffer));
      if (page.number() != number || !page.is_node_page() || page.flags() != kLeaf) {
        continue;
      }
      for (std::size_t i = 0; i < page.nodes() && !stopped_; ++i) {
        if (const auto node = page.node(i)) {
          stopped_ = !leaf(*node);
        }
      }
    }
  }

  bool lost() const { return lost_; }
  void set_lost() { lost_ = true; }

 private:
  struct Level {
    std::string bytes;
    std::size_t next = 0;
  };

  // Asked once for each page: a page has a hundred nodes, and the clock takes as long as a node.
  bool is_late() const { return std::chrono::steady_clock::now() >= until_; }

  void descend(std::uint64_t number, std::vector<Level>& path) {
    if (number == kNoPage && path.empty()) {
      return;  // an empty tree
    }
    if (is_late()) {
      stopped_ = true;
      return;
    }
    Level level;
    const Page page(number < seen_.size() && !seen_[number] ? file_.page(number, level.bytes)
                                                            : std::string_view());
    if (page.number() != number || !page.is_node_page() || path.size() == kMaxDepth) {
      lost_ = true;
      return;
    }
    seen_[number] = true;
    path.push_back(std::move(level));
  }

  const DataFile& file_;
  const SteadyTime until_;
  std::vector<bool> seen_;
  bool lost_ = false;
  bool stopped_ = false;
};

}  // namespace

Examined examine(const std::string& data_file, Milliseconds limit) {
  DataFile file(data_file);
  if (file.empty()) {
    return Examined::Missing;
  }
  const auto meta = read_meta(file);
  if (!meta) {
    return Examined::Damaged;
  }
  Walk walk(file, std::chrono::steady_clock::now() + limit);
  std::string buffer;
  // A key that cannot be compared, or data of which a part is gone, is as bad as a lost page.
  const auto check = [&](const Node& node) {
    if (node.size != file.data(node, buffer).size()) {
      walk.set_lost();
    }
    return !walk.lost();
  };
  walk.tree(meta->free_list, check);
  std::vector<Tree> tables;
  walk.tree(meta->tables, [&](const Node& node) {
    if ((node.flags & kTree) != 0 && node.data.size() == kTreeBytes) {
      tables.push_back(tree_at(node.data, 0));
    }
    return check(node);
  });
  for (const Tree& table : tables) {
    walk.tree(table, check);
  }
  return walk.lost() ? Examined::Damaged : Examined::Sound;
}

bool salvage_records(const std::string& data_file, std::string_view table, SteadyTime until,
                     const FoundRecord& found) {
  DataFile file(data_file);
  const auto meta = read_meta(file);
  Walk walk(file, until);
  std::string buffer;
  const auto hand_over = [&](const Node& node) {
    return (node.flags & kTree) != 0 || found(node.key, file.data(node, buffer));
  };
  std::optional<Tree> tree;
  if (meta) {
    walk.tree(meta->tables, [&](const Node& node) {
      if (node.key == table && node.data.size() == kTreeBytes) {
        tree = tree_at(node.data, 0);
      }
      return true;
    });
  }
  if (tree) {
    walk.tree(*tree, hand_over);
  }
  if (!tree || walk.lost()) {
    walk.rest(hand_over);
  }
  return file.readable();
}

}  // namespace mtastsd::cache
