// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Makes the Nth operation that a test gives to io_uring fail, or do only half of its work, as
// faulty_calls.h does with system calls:
//
//   faulty_rings::arm({.nth = nth, .error = EIO});
//   ... what is tested ...
//   if (!faulty_rings::disarm()) ...  // there were fewer operations than that
//
// It stands in front of liburing's functions for static libraries and a program that is linked with
// faulty_rings_dep (tests/support/meson.build); are_here() says whether it does. An operation that
// fails is not done: the kernel gets one that does nothing, and its completion tells the error. One
// source file of a test program may include it.

#include <liburing.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "faulty_calls.h"

namespace vmm::faulty_rings {

/// What may fail.
enum Kind : std::uint32_t {
  kTransfer = 1,  ///< reads and writes; halves of them, too
  kSync = 2,      ///< fsync
  kSpace = 4,     ///< fallocate
  kOperations = 7,
  kEnter = 8,      ///< io_uring_enter(2): nothing is submitted
  kSetUp = 16,     ///< io_uring_setup(2)
  kRegister = 32,  ///< io_uring_register(2)
};

struct Fault {
  std::uint64_t nth = 1;
  int error = 0;  ///< what the kernel answers; 0: a transfer does only half of its bytes
  std::uint32_t kinds = kOperations;
  std::uint64_t times = 1;  ///< so many from the Nth on
};

namespace detail {
inline Fault fault;
inline bool armed = false;
inline bool seen = false;
inline std::uint64_t counted = 0;
inline std::uint32_t failed = 0;
inline std::array<iovec, 1024> shorter;

inline bool fails(Kind kind) {
  if (!armed || (fault.kinds & kind) == 0 || (fault.error == 0 && kind != kTransfer)) return false;
  if (++counted < fault.nth || counted - fault.nth >= fault.times) return false;
  failed |= kind;
  return true;
}

inline Kind kind_of(const io_uring_sqe& entry) {
  if (entry.opcode == IORING_OP_FSYNC) return kSync;
  return entry.opcode == IORING_OP_FALLOCATE ? kSpace : kTransfer;
}
inline bool writes(const io_uring_sqe& entry) {
  return entry.opcode == IORING_OP_WRITE || entry.opcode == IORING_OP_WRITE_FIXED ||
         entry.opcode == IORING_OP_WRITEV || entry.opcode == IORING_OP_FALLOCATE;
}
inline bool has_list(const io_uring_sqe& entry) {
  return entry.opcode == IORING_OP_READV || entry.opcode == IORING_OP_WRITEV;
}

/// Half of its bytes, at least one.
inline void halve(io_uring_sqe& entry) {
  if (!has_list(entry)) {
    entry.len = std::max(entry.len / 2, 1u);
    return;
  }
  const auto* const list = reinterpret_cast<const iovec*>(entry.addr);
  std::size_t left = 0;
  for (std::uint32_t i = 0; i < entry.len; ++i) left += list[i].iov_len;
  left = std::max<std::size_t>(left / 2, 1);
  std::uint32_t count = 0;
  for (; left != 0; ++count) {
    shorter[count] = {list[count].iov_base, std::min(left, list[count].iov_len)};
    left -= shorter[count].iov_len;
  }
  entry.addr = reinterpret_cast<std::uintptr_t>(shorter.data());
  entry.len = count;
}

/// The completion of what did nothing, which is there at once, tells the error.
inline void tell(const io_uring& ring, std::uint64_t tag) {
  const unsigned end = __atomic_load_n(ring.cq.ktail, __ATOMIC_ACQUIRE);
  for (unsigned at = *ring.cq.khead; at != end; ++at) {
    io_uring_cqe& completion = ring.cq.cqes[at & ring.cq.ring_mask];
    if (completion.user_data != tag) continue;
    completion.res = -fault.error;
    return;
  }
  std::abort();
}

/// Submits by call(); what is to fail does.
template <class Call>
int submit(io_uring* ring, Call&& call) {
  seen = true;
  if (fails(kEnter)) return -fault.error;
  std::array<std::uint64_t, 64> failing{};
  std::size_t count = 0;
  for (unsigned at = ring->sq.sqe_head; at != ring->sq.sqe_tail; ++at) {
    io_uring_sqe& entry = ring->sq.sqes[at & ring->sq.ring_mask];
    if (entry.opcode == IORING_OP_NOP || entry.opcode == IORING_OP_ASYNC_CANCEL) continue;
    const bool fail = fails(kind_of(entry));
    if (fail && fault.error == 0) {
      halve(entry);
    } else if (fail && count != failing.size()) {
      failing[count++] = entry.user_data;
      std::memset(&entry, 0, sizeof(entry));
      entry.opcode = IORING_OP_NOP;
      entry.user_data = failing[count - 1];
      continue;
    }
    if (writes(entry)) faulty_calls::detail::volatile_data = true;
    if (entry.opcode == IORING_OP_FSYNC) faulty_calls::detail::volatile_data = false;
  }
  const int answer = call();
  for (std::size_t i = 0; i < count; ++i) tell(*ring, failing[i]);
  return answer;
}
}  // namespace detail

/// Whether this program's rings come by here, once it has used one.
[[nodiscard]] inline bool are_here() { return detail::seen; }
inline void arm(const Fault& fault) {
  detail::fault = fault;
  detail::counted = 0;
  detail::failed = 0;
  detail::armed = true;
}
/// Nothing fails any more. Whether something did.
inline bool disarm() {
  detail::armed = false;
  return detail::failed != 0;
}
/// What has failed since arm(), bits of Kind.
[[nodiscard]] inline std::uint32_t failed() { return detail::failed; }

}  // namespace vmm::faulty_rings

// The linker's names. NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

int __real_io_uring_submit(io_uring* ring);
int __real_io_uring_submit_and_wait(io_uring* ring, unsigned count);
int __real_io_uring_queue_init(unsigned entries, io_uring* ring, unsigned flags);
int __real_io_uring_register_files(io_uring* ring, const int* files, unsigned count);
int __real_io_uring_register_buffers(io_uring* ring, const iovec* list, unsigned count);
int __wrap_io_uring_submit(io_uring* ring);
int __wrap_io_uring_submit_and_wait(io_uring* ring, unsigned count);
int __wrap_io_uring_queue_init(unsigned entries, io_uring* ring, unsigned flags);
int __wrap_io_uring_register_files(io_uring* ring, const int* files, unsigned count);
int __wrap_io_uring_register_buffers(io_uring* ring, const iovec* list, unsigned count);

int __wrap_io_uring_submit(io_uring* ring) {
  return vmm::faulty_rings::detail::submit(ring, [ring] { return __real_io_uring_submit(ring); });
}
int __wrap_io_uring_submit_and_wait(io_uring* ring, unsigned count) {
  return vmm::faulty_rings::detail::submit(
      ring, [ring, count] { return __real_io_uring_submit_and_wait(ring, count); });
}
int __wrap_io_uring_queue_init(unsigned entries, io_uring* ring, unsigned flags) {
  namespace faults = vmm::faulty_rings;
  if (faults::detail::fails(faults::kSetUp)) return -faults::detail::fault.error;
  return __real_io_uring_queue_init(entries, ring, flags);
}
int __wrap_io_uring_register_files(io_uring* ring, const int* files, unsigned count) {
  namespace faults = vmm::faulty_rings;
  if (faults::detail::fails(faults::kRegister)) return -faults::detail::fault.error;
  return __real_io_uring_register_files(ring, files, count);
}
int __wrap_io_uring_register_buffers(io_uring* ring, const iovec* list, unsigned count) {
  namespace faults = vmm::faulty_rings;
  if (faults::detail::fails(faults::kRegister)) return -faults::detail::fault.error;
  return __real_io_uring_register_buffers(ring, list, count);
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
