// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "parse_number.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/signal_fd.h"
#include "vmm/sys_util/unix_socket.h"

// What programs that serve devices on Unix sockets share: QEMU's conventions for their command
// lines.

namespace vmm::daemon {

inline constexpr int kFailed = 1;   ///< exit status of a failure
inline constexpr int kMisused = 2;  ///< of a mistake in the command line

/// An option of one program: --name=VALUE, --name VALUE, or --name alone where it takes none.
struct Option {
  const char* name;   ///< without the dashes
  const char* value;  ///< what it takes, for the help; nullptr: nothing
  const char* help;
  std::function<bool(std::string_view value)> set;  ///< false: no such value
};

/// Where clients are: one of the two.
struct Socket {
  std::string path;
  int fd = -1;
};

/// Whether one of them was given, and not both.
[[nodiscard]] bool is_complete(const Socket& socket);
/// --socket-path and --fd.
std::vector<Option> socket_options(Socket& socket);

/// Sets what the command line says. What is wrong with it, or nothing.
std::optional<std::string> parse(const std::vector<Option>& options, int argc, char** argv);
void print_help(const char* program, const std::vector<Option>& options);
/// Says what is wrong, and gives the status back.
int complain(const char* program, const std::string& what, int status);
/// What the libraries log goes to standard error.
void log_to_stderr();

/// Whether a socket listens, or is a connection.
[[nodiscard]] bool listens(int fd);
/// A socket that listens: at the path, or the descriptor.
Result<sys_util::UnixListener> open_listener(const Socket& socket);

/// Stops a loop at SIGTERM and SIGINT, which are blocked from now on, and so in all threads that
/// are started later. SIGPIPE is ignored: a descriptor of a client may be anything.
class SignalWatch {
 public:
  /// `loop` outlives it.
  static Result<SignalWatch> create(event_manager::EventLoop& loop);

 private:
  explicit SignalWatch(sys_util::SignalFd signals) : signals_(std::move(signals)) {}

  sys_util::SignalFd signals_;
  event_manager::Registration watch_;
};

}  // namespace vmm::daemon
