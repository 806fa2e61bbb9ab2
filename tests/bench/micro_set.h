#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace bench {

// One operation of the answer path or of finding out, and how to do it once more.
struct MicroCase {
  std::string_view name;
  std::function<void()> once;
};

// The operations that are measured one by one, on a cache of kDomains policies and as many "no
// policy" results in a temporary directory. bench_micro takes their time, bench_count their
// instructions.
class MicroSet {
 public:
  static constexpr std::size_t kDomains = 2000;

  MicroSet();
  ~MicroSet();
  const std::vector<MicroCase>& cases() const { return cases_; }

 private:
  struct World;
  std::unique_ptr<World> world_;
  std::vector<MicroCase> cases_;
};

}  // namespace bench
