// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/fd_sink.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace vmm::vm_superio {

/// Writes until the descriptor refuses; `broken` when it will never take the rest.
std::size_t FdSink::write_now(std::span<const std::byte> bytes, bool& broken) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd_.get(), bytes.data() + done, bytes.size() - done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      broken = n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
      break;
    }
  }
  return done;
}

void FdSink::drain() {
  if (kept_.empty()) return;
  bool broken = false;
  const std::size_t done = write_now(kept_, broken);
  if (broken || done == kept_.size()) {
    kept_.clear();
  } else {
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(done));
  }
}

std::size_t FdSink::write(std::span<const std::byte> bytes) {
  const MutexLock lock(mutex_);
  drain();
  std::size_t done = 0;
  bool broken = false;
  if (kept_.empty()) done = write_now(bytes, broken);
  if (broken) return done;
  const std::size_t room = backlog_ > kept_.size() ? backlog_ - kept_.size() : 0;
  const auto keep = bytes.subspan(done).first(std::min(room, bytes.size() - done));
  kept_.insert(kept_.end(), keep.begin(), keep.end());
  return done + keep.size();
}

bool FdSink::has_backlog() const {
  const MutexLock lock(mutex_);
  return !kept_.empty();
}

void FdSink::process() {
  const MutexLock lock(mutex_);
  drain();
}

}  // namespace vmm::vm_superio
