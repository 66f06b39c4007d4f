// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>

#include "failure.h"

namespace vmm::reference {

/// A socket or a file that the command line names by its path, or as a descriptor that whoever
/// started the VMM has opened.
struct PathOrFd {
  std::string path;
  int fd = -1;  ///< when there is no path

  [[nodiscard]] bool given() const { return fd >= 0 || !path.empty(); }
};

/// What an option takes beside "path=P" and "fd=N".
struct PathOrFdForm {
  bool bare = false;  ///< a text that starts with neither is a path
  int lowest_fd = 3;  ///< those below are the standard streams
};

/// "path=P" or "fd=N", the value of `option`.
Outcome<PathOrFd> parse_path_or_fd(const std::string& option, const std::string& text,
                                   PathOrFdForm form);

}  // namespace vmm::reference
