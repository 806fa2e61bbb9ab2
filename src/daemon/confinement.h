#pragma once

#include <string>
#include <vector>

namespace mtastsd::daemon {

// What the kernel keeps the daemon from, whoever gets hold of it.
struct Confinement {
  int landlock = 0;      // the version of the kernel's interface; 0: not confined by it
  bool seccomp = false;  // false: not confined by it
};

// Confines the calling thread and those that it starts afterwards, for good. By Landlock, files can
// be written and made in `cache_directory` only, and removed also in `socket_directories`; programs
// cannot be run, and TCP ports cannot be bound. By seccomp, only the system calls of a list can be
// made, and any other fails with ENOSYS. The caller has set no_new_privs. What the kernel does not
// have is left out.
//
// `binds_sources`: connections come from addresses that it names itself, so it may take ports that
// the kernel chooses.
Confinement confine(const std::string& cache_directory,
                    const std::vector<std::string>& socket_directories, bool binds_sources = false);

}  // namespace mtastsd::daemon
