#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/base/result.h"

// What runs the command of [alarm]. The daemon itself may run no program once it is confined
// (confinement.h). So a process is forked before that. It has nothing of the daemon but one socket,
// takes the documents that come by it, and runs the command that it was started with and no other:
// whoever gets hold of the daemon can send documents, and no more.
namespace mtastsd::daemon {

inline constexpr std::size_t kMaxDocumentBytes = 16 * 1024;

// Starts that process and returns its socket, of the type SOCK_SEQPACKET and not blocking. A packet
// to it is a document, and one from it says in the end of a sentence what was wrong with a run. The
// process ends with the socket. Called while the calling process has one thread, which from then on
// ignores SIGCHLD.
Result<Fd, std::string> start_alarm_runner(const std::vector<std::string>& command);

// Runs a command once with `document` on its standard input. Its output is thrown away, it has no
// other descriptor, and little of our environment. At the limit it is killed with the processes
// that it has started. Empty: it ended with status 0; else the end of a sentence.
std::string run_alarm_command(const std::vector<std::string>& command, std::string_view document,
                              Milliseconds limit);

}  // namespace mtastsd::daemon
