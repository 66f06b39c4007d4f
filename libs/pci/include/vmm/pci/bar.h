// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "vmm/base/address_range.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/pci/pci_error.h"
#include "vmm/vm_allocator/address_allocator.h"
#include "vmm/vm_device/bus.h"

namespace vmm::pci {

enum class BarKind : std::uint8_t { kMemory32, kMemory64, kIo };

/// A base address register: PCI 3.0, 6.2.5.
struct Bar {
  std::uint8_t index = 0;  ///< 0 to 5; a 64-bit one takes the next index too
  BarKind kind = BarKind::kMemory32;
  std::uint64_t size = 0;  ///< bytes; a power of two, of 16 at least, or 4 for I/O
  bool prefetchable = false;
  /// Of the address that it gets at first; 0: its size, as for the guest's choices.
  std::uint64_t alignment = 0;
};

/// The ports from `base` on.
struct PortRange {
  std::uint16_t base = 0;
  std::uint32_t size = 0;
};

/// Where the BARs of a segment may be. A BAR outside is not decoded, so that the guest can put none
/// over RAM, the interrupt controllers or configuration space.
struct Windows {
  std::optional<AddressRange> memory32 = std::nullopt;  ///< below 4 GiB
  std::optional<AddressRange> memory64 = std::nullopt;
  std::optional<PortRange> ports = std::nullopt;
};

/// The address space that the BARs of one segment share: windows, first addresses, and the buses.
///
/// A 64-bit BAR may be in either memory window; it gets its first address in the 64-bit one when
/// there is one.
///
/// Threads: any.
class BarSpace {
 public:
  struct Buses {
    vm_device::MmioBus& mmio;            ///< outlives the segment and its functions
    vm_device::PioBus* ports = nullptr;  ///< the same; nullptr: no I/O BAR is decoded
  };

  /// Errors: kBadWindow.
  static Result<std::shared_ptr<BarSpace>, PciError> create(Buses buses, const Windows& windows);

  /// A free address for a BAR. Errors: kNoAddress.
  Result<std::uint64_t, PciError> allocate(const Bar& bar);
  /// Takes back what allocate() gave.
  void free(const Bar& bar, std::uint64_t address);

  /// Whether the BAR may be at `address`.
  [[nodiscard]] bool may_be_at(const Bar& bar, std::uint64_t address) const;
  /// On the buses. add() and move() are false when another range is there; nothing changed then.
  [[nodiscard]] bool add(const Bar& bar, std::uint64_t address,
                         std::shared_ptr<vm_device::BusDevice> device);
  [[nodiscard]] bool move(const Bar& bar, std::uint64_t from, std::uint64_t to);
  /// Waits for accesses under way: see vm_device::Bus::remove().
  void remove(const Bar& bar, std::uint64_t address);
  /// Whether a range became free after a BAR had been refused: its function may try again. Once.
  [[nodiscard]] bool take_freed();

 private:
  using Allocator = std::optional<vm_allocator::AddressAllocator>;

  BarSpace(Buses buses, const Windows& windows) : buses_(buses), windows_(windows) {}
  Result<void, PciError> make_allocators();
  [[nodiscard]] Allocator& allocator_for(const Bar& bar) VMM_REQUIRES(mutex_);
  [[nodiscard]] bool note(bool placed);
  void note_free();

  Buses buses_;
  const Windows windows_;
  std::atomic<bool> refused_{false};  // since the last take_freed()
  std::atomic<bool> freed_{false};    // after that
  Mutex mutex_;
  Allocator memory32_ VMM_GUARDED_BY(mutex_);
  Allocator memory64_ VMM_GUARDED_BY(mutex_);
  Allocator ports_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::pci
