// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::kvm_ioctls {

/// The number of a memory slot; bits 16 and up choose the address space (x86_64: 1 is SMM's).
enum class SlotId : std::uint32_t {};

/// Where a memory slot puts host memory into the guest (KVM_SET_USER_MEMORY_REGION).
struct MemoryRegion {
  SlotId slot{};                 ///< below System::nr_memslots(), plus the address space
  GuestAddress address{};        ///< a multiple of the page size
  std::span<std::byte> host{};   ///< page-aligned; empty removes the slot
  bool log_dirty_pages = false;  ///< also what fills the dirty ring
  bool read_only = false;        ///< guest writes become MMIO exits
};

/// Memory that the host need not map, for private pages of a confidential VM; see
/// Vm::create_guest_memfd().
class GuestMemfd {
 public:
  static constexpr std::uint64_t kMmap = 1;             ///< Linux 6.18: may be mapped
  static constexpr std::uint64_t kInitiallyShared = 2;  ///< Linux 6.18

  /// Takes over a descriptor of a guest_memfd of that many bytes.
  GuestMemfd(UniqueFd fd, std::uint64_t bytes) : fd_(std::move(fd)), bytes_(bytes) {}

  /// Borrowed: valid as long as this object lives.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Bytes, as it was created.
  [[nodiscard]] std::uint64_t size() const { return bytes_; }

 private:
  UniqueFd fd_;
  std::uint64_t bytes_;
};

/// A part of a guest_memfd behind a slot (KVM_SET_USER_MEMORY_REGION2, Linux 6.8).
struct GuestMemfdRange {
  int fd = -1;               ///< borrowed: KVM takes its own reference
  std::uint64_t offset = 0;  ///< bytes into the file, a multiple of the page size
};

/// What KVM_SET_MEMORY_ATTRIBUTES sets for a range of guest-physical addresses.
struct MemoryAttributes {
  /// Of `attributes`: only the guest can access it.
  static constexpr std::uint64_t kPrivate = 1u << 3;

  /// @{
  /// A range of whole pages.
  GuestAddress address{};
  std::uint64_t bytes = 0;
  /// @}
  std::uint64_t attributes = 0;  ///< kPrivate, or 0 for shared
};

class MemorySlots;

/// One memory slot in use: host memory that the guest sees, for as long as this object lives.
///
/// The end, in this order: the kernel forgets the slot (no vCPU can touch the memory after that),
/// then the reference to the memory is given up, then the slot's number is free again.
/// Destroying a slot while its vCPUs run is safe for the host; the guest sees an MMIO hole.
class MemorySlot {
 public:
  /// Leaves `other` without a slot: its destructor does nothing.
  MemorySlot(MemorySlot&& other) noexcept;
  /// Removes the slot that this object had. `other` as for the constructor.
  MemorySlot& operator=(MemorySlot&& other) noexcept;
  ~MemorySlot();

  /// @{
  /// The slot's number, and its range: guest-physical address and bytes. size() is 0 after a move.
  [[nodiscard]] SlotId id() const { return id_; }
  [[nodiscard]] GuestAddress address() const { return address_; }
  [[nodiscard]] std::size_t size() const { return host_.size(); }
  /// @}

  /// Switches the logging of dirty pages. Errors: the errno of the ioctl.
  Result<void> set_dirty_logging(bool on);
  /// The pages written since the last call, one bit a page of the host's page size, the lowest
  /// first; marks them clean unless manual protection is on.
  /// Errors: ENOENT while logging is off; ENXIO while a dirty ring is in use.
  [[nodiscard]] Result<std::vector<std::uint64_t>> dirty_log() const;
  /// The same into the caller's memory. Errors: EINVAL unless `bitmap` has dirty_log_words() words.
  [[nodiscard]] Result<void> dirty_log(std::span<std::uint64_t> bitmap) const;
  /// 64-bit words of the log: one bit a page, rounded up.
  [[nodiscard]] std::size_t dirty_log_words() const;

  /// Pages of the slot, counted from its start.
  struct PageRange {
    std::uint64_t first;  ///< a multiple of 64
    std::uint64_t count;  ///< a multiple of 64, or up to the slot's end
  };
  /// With manual protection: marks the pages with a set bit clean (KVM_CLEAR_DIRTY_LOG).
  /// Errors: EINVAL for a range outside of the slot or a `bitmap` too short for it.
  Result<void> clear_dirty_log(const PageRange& pages, std::span<const std::uint64_t> bitmap) const;

  struct Table;  ///< of this library only

 private:
  friend class MemorySlots;
  MemorySlot(std::shared_ptr<Table> table, SlotId id) : table_(std::move(table)), id_(id) {}
  [[nodiscard]] Result<void> apply(std::span<std::byte> host) const;
  void remove() noexcept;

  std::shared_ptr<Table> table_;  // null when moved from
  SlotId id_;
  GuestAddress address_;
  std::span<std::byte> host_;
  bool log_dirty_pages_ = false;
  bool read_only_ = false;
  std::optional<GuestMemfdRange> private_memory_;
  std::shared_ptr<const void> keep_alive_;
};

/// The memory slots of a VM: gives out their numbers and ties each to the memory behind it.
///
/// Use either this or Vm::set_memory_region(), not both. Thread-safety: add() and the slots'
/// destruction may happen on any thread.
class MemorySlots {
 public:
  /// What add() puts into the guest.
  struct Add {
    GuestAddress address{};       ///< a multiple of the page size
    std::span<std::byte> host{};  ///< page-aligned, not empty
    /// @{
    /// As in MemoryRegion.
    bool log_dirty_pages = false;
    bool read_only = false;
    /// @}
    /// Private memory behind the same addresses; `host` is then the shared half.
    std::optional<GuestMemfdRange> private_memory{};
  };

  /// Errors: KvmError::kBadSlot for an empty, misaligned or wrapping range; kNoFreeSlot; the
  /// errno of the ioctl (EEXIST when the range overlaps another slot).
  [[nodiscard]] Result<MemorySlot> add(const Add& what, std::shared_ptr<const void> keep_alive);

  /// How many slots there are at the moment. From any thread.
  [[nodiscard]] std::uint32_t in_use() const;

 private:
  friend class Vm;
  explicit MemorySlots(std::shared_ptr<MemorySlot::Table> table) : table_(std::move(table)) {}

  std::shared_ptr<MemorySlot::Table> table_;
};

}  // namespace vmm::kvm_ioctls
