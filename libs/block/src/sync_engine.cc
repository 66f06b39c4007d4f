// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "sync_engine.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "operation.h"

namespace vmm::block {
namespace {

ssize_t execute(const Operation& operation) {
  const auto offset = static_cast<off_t>(operation.offset);
  const iovec* const buffers = as_iovec(operation.buffers);
  const int count = static_cast<int>(buffer_count(operation.buffers));
  switch (operation.kind) {
    case Operation::Kind::kRead:
      return ::preadv(operation.fd, buffers, count, offset);
    case Operation::Kind::kWrite:
      return ::pwritev(operation.fd, buffers, count, offset);
    case Operation::Kind::kSync:
      return ::fdatasync(operation.fd);
    case Operation::Kind::kPunchHole:
    case Operation::Kind::kZeroRange:
      return ::fallocate(operation.fd, fallocate_mode(operation.kind), offset,
                         static_cast<off_t>(operation.bytes));
  }
  errno = EINVAL;
  return -1;
}

}  // namespace

void SyncEngine::submit(const Operation& operation) {
  ssize_t result = 0;
  do {
    result = execute(operation);
  } while (result < 0 && errno == EINTR);
  ended_.push_back(
      {.tag = operation.tag, .result = result < 0 ? -errno : static_cast<std::int32_t>(result)});
}

std::size_t SyncEngine::reap(std::span<Completion> out) {
  const std::size_t count = std::min(out.size(), ended_.size());
  const auto last = ended_.begin() + static_cast<std::ptrdiff_t>(count);
  std::copy(ended_.begin(), last, out.begin());
  ended_.erase(ended_.begin(), last);
  return count;
}

}  // namespace vmm::block
