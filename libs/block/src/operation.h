// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <span>

#include "vmm/block/engine.h"

namespace vmm::block {

static_assert(sizeof(IoVec) == sizeof(iovec) &&
              offsetof(IoVec, base) == offsetof(iovec, iov_base) &&
              offsetof(IoVec, bytes) == offsetof(iovec, iov_len));

/// As many buffers as the kernel takes at once (UIO_MAXIOV); the transfer is a short one then.
inline constexpr std::size_t kMaxBuffers = 1024;

/// The list as the kernel's; nobody here reads it through this type.
inline const iovec* as_iovec(std::span<const IoVec> buffers) {
  return reinterpret_cast<const iovec*>(buffers.data());
}
inline unsigned buffer_count(std::span<const IoVec> buffers) {
  return static_cast<unsigned>(std::min(buffers.size(), kMaxBuffers));
}

inline int fallocate_mode(Operation::Kind kind) {
  return FALLOC_FL_KEEP_SIZE |
         (kind == Operation::Kind::kPunchHole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

}  // namespace vmm::block
