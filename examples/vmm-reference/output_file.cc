// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "output_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <thread>

#include "end_request.h"
#include "patience.h"

namespace vmm::reference {
namespace {

bool is_fifo(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
}

}  // namespace

// Not blocking, as the signals that could interrupt that are blocked.
Result<UniqueFd> open_output(const std::string& path, int flags, unsigned mode) {
  for (;;) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, mode));
    if (fd) {
      const int status = ::fcntl(fd.get(), F_GETFL);
      if (status < 0 || ::fcntl(fd.get(), F_SETFL, status & ~O_NONBLOCK) != 0) {
        return fail(Error::from_errno("fcntl F_SETFL"));
      }
      return fd;
    }
    const Error error = Error::from_errno("open");
    if (!error.is_os(ENXIO) || end_is_asked() || !is_fifo(path)) return fail(error);
    std::this_thread::sleep_for(kRetry);
  }
}

}  // namespace vmm::reference
