#include "scenario/log_capture.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <sstream>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace mtastsd::test {

LogCapture::LogCapture() : file_(memfd_create("log", MFD_CLOEXEC)), real_stderr_(dup(2)) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<std::intptr_t>(real_stderr_)));
#endif
  dup2(file_, 2);
}

LogCapture::~LogCapture() {
  dup2(real_stderr_, 2);
  close(file_);
}

std::string LogCapture::text() const {
  std::string all;
  std::array<char, 4096> part;
  ssize_t size = 0;
  while ((size = pread(file_, part.data(), part.size(), static_cast<off_t>(all.size()))) > 0) {
    all.append(part.data(), static_cast<std::size_t>(size));
  }
  return all;
}

std::size_t LogCapture::lines_with(const std::string& part) const {
  std::istringstream lines(text());
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    count += line.find(part) != std::string::npos ? 1 : 0;
  }
  return count;
}

}  // namespace mtastsd::test
