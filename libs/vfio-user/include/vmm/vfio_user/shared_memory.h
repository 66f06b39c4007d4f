// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "vmm/base/result.h"
#include "vmm/vfio_user/user_error.h"

namespace vmm::vfio_user {

/// Memory that a client lets a device reach. `owner` keeps it alive.
struct SharedMemory {
  std::uint64_t iova = 0;             ///< where the device sees it
  std::span<std::byte> memory;        ///< of this process
  std::shared_ptr<const void> owner;  ///< not to be freed before the device has lost it
  ///@{
  /// What the device may do with it.
  bool device_reads = true;
  bool device_writes = true;
  ///@}
  int fd = -1;                  ///< the file that the server maps; -1: it asks for each byte
  std::uint64_t fd_offset = 0;  ///< where in the file
};

/// The client's side of DMA by messages: what a server may read and write, checked for each of its
/// commands.
///
/// Threads: one at a time; the memory itself is the guest's, too.
class SharedMemoryTable {
 public:
  /// Errors: kBadRange for none, or one that passes the end of the address space; EEXIST when a
  /// part of it is there already.
  Result<void> add(const SharedMemory& memory);
  /// Errors: kNotMapped unless it is one of those that were added.
  Result<void> remove(std::uint64_t iova, std::uint64_t bytes);

  /// A range may be in several that adjoin. Errors: kNotMapped, kNotWritable; kBadRange.
  Result<void> read(std::uint64_t iova, std::span<std::byte> to) const;
  /// As read(); the device has to be allowed to write all of it.
  Result<void> write(std::uint64_t iova, std::span<const std::byte> from) const;

  /// By the first address; disjoint.
  [[nodiscard]] const std::map<std::uint64_t, SharedMemory>& all() const { return entries_; }

 private:
  template <class Move>
  Result<void> walk(std::uint64_t iova, std::size_t bytes, Move&& move) const;

  std::map<std::uint64_t, SharedMemory> entries_;  // by their first address
};

}  // namespace vmm::vfio_user
