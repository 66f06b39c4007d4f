// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/shared_memory.h"

#include <cerrno>

#include "iova_map.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::vfio_user {
namespace {

using vm_memory::GuestSlice;

std::uint64_t size_of(const SharedMemory& memory) { return memory.memory.size(); }

GuestSlice slice_of(const SharedMemory& memory, std::uint64_t offset, std::size_t bytes) {
  return GuestSlice(memory.memory.subspan(static_cast<std::size_t>(offset), bytes));
}

}  // namespace

Result<void> SharedMemoryTable::add(const SharedMemory& memory) {
  if (!is_range(memory.iova, size_of(memory))) return fail(UserError::kBadRange);
  if (!is_free(entries_, memory.iova, size_of(memory), &size_of)) {
    return fail(Error::os(EEXIST, "share memory with a device"));
  }
  entries_.emplace(memory.iova, memory);
  return {};
}

Result<void> SharedMemoryTable::remove(std::uint64_t iova, std::uint64_t bytes) {
  const auto found = entries_.find(iova);
  if (found == entries_.end() || size_of(found->second) != bytes) {
    return fail(UserError::kNotMapped);
  }
  entries_.erase(found);
  return {};
}

template <class Move>
Result<void> SharedMemoryTable::walk(std::uint64_t iova, std::size_t bytes, Move&& move) const {
  return for_each_part(entries_, iova, bytes, &size_of, move);
}

Result<void> SharedMemoryTable::read(std::uint64_t iova, std::span<std::byte> to) const {
  return walk(iova, to.size(),
              [&](const SharedMemory& memory, std::uint64_t offset, std::size_t done,
                  std::size_t bytes) -> Result<void> {
                if (!memory.device_reads) return fail(UserError::kNotMapped);
                slice_of(memory, offset, bytes).copy_to(to.subspan(done, bytes));
                return {};
              });
}

Result<void> SharedMemoryTable::write(std::uint64_t iova, std::span<const std::byte> from) const {
  return walk(iova, from.size(),
              [&](const SharedMemory& memory, std::uint64_t offset, std::size_t done,
                  std::size_t bytes) -> Result<void> {
                if (!memory.device_writes) return fail(UserError::kNotWritable);
                slice_of(memory, offset, bytes).copy_from(from.subspan(done, bytes));
                return {};
              });
}

}  // namespace vmm::vfio_user
