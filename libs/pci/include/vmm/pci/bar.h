// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "vmm/base/address_range.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/pci/pci_error.h"
#include "vmm/vm_allocator/address_allocator.h"
#include "vmm/vm_device/bus.h"

namespace vmm::pci {

/// What a BAR decodes (PCI 3.0, 6.2.5.1); the ROM's is a 32-bit memory range with an enable bit.
enum class BarKind : std::uint8_t { kMemory32, kMemory64, kIo, kRom };

/// A base address register: PCI 3.0, 6.2.5; the expansion ROM's: 6.2.5.2.
struct Bar {
  std::uint8_t index = 0;  ///< 0 to 5; a 64-bit one takes the next index too; the ROM's is 6
  BarKind kind = BarKind::kMemory32;  ///< I/O ports need BarSpace::Buses::ports
  std::uint64_t size =
      0;  ///< bytes; a power of two, of 16 at least, or 4 for I/O, 2048 for the ROM
  bool prefetchable = false;  ///< bit 3; of memory BARs
  /// Of the address that it gets at first; 0: its size, as for the guest's choices.
  std::uint64_t alignment = 0;
};

/// The ports from `base` on.
struct PortRange {
  /// @{
  std::uint16_t base = 0;  ///< the first port, and how many; base + size is 0x10000 at most
  std::uint32_t size = 0;
  /// @}
};

/// Where the BARs of a segment may be. A BAR outside is not decoded, so that the guest can put none
/// over RAM, the interrupt controllers or configuration space.
struct Windows {
  std::optional<AddressRange> memory32 = std::nullopt;  ///< below 4 GiB
  std::optional<AddressRange> memory64 = std::nullopt;  ///< none: 64-bit BARs go below 4 GiB
  std::optional<PortRange> ports = std::nullopt;        ///< none: no I/O BAR is decoded
};

/// The address space that the BARs of one segment share: windows, first addresses, and the buses.
///
/// A 64-bit BAR may be in either memory window; it gets its first address in the 64-bit one when
/// there is one.
///
/// Threads: any.
class BarSpace {
 public:
  /// Where BARs are decoded.
  struct Buses {
    vm_device::MmioBus& mmio;            ///< outlives the segment and its functions
    vm_device::PioBus* ports = nullptr;  ///< the same; nullptr: no I/O BAR is decoded
  };

  /// Errors: kBadWindow.
  static Result<std::shared_ptr<BarSpace>, PciError> create(Buses buses, const Windows& windows);

  /// The part of `parent` that a bridge forwards to the bus behind it: nothing at first. BARs there
  /// get no first address, they begin at 0.
  static std::shared_ptr<BarSpace> behind(std::shared_ptr<BarSpace> parent);
  /// What a bridge lets through; its two windows, of any addresses.
  struct Forwarded {
    /// @{
    /// The memory and the prefetchable window of the bridge (PCI-to-PCI bridge 1.2, 3.2.5); none:
    /// nothing passes.
    std::optional<AddressRange> memory = std::nullopt;
    std::optional<AddressRange> prefetchable = std::nullopt;
    /// @}

    friend bool operator==(const Forwarded&, const Forwarded&) = default;
  };
  /// Changes that. True when it differs from before: functions there have to try their BARs again.
  /// Precondition: made by behind().
  [[nodiscard]] bool forward(const Forwarded& ranges);

  /// A free address for a BAR. Errors: kNoAddress.
  Result<std::uint64_t, PciError> allocate(const Bar& bar);
  /// Takes back what allocate() gave.
  void free(const Bar& bar, std::uint64_t address);

  /// Whether the BAR may be at `address`.
  [[nodiscard]] bool may_be_at(const Bar& bar, std::uint64_t address) const;
  /// On the buses. add() and move() are false when another range is there; nothing changed then.
  [[nodiscard]] bool add(const Bar& bar, std::uint64_t address,
                         std::shared_ptr<vm_device::BusDevice> device);
  /// Moves the range in one step: no access finds neither place.
  [[nodiscard]] bool move(const Bar& bar, std::uint64_t from, std::uint64_t to);
  /// Waits for accesses under way: see vm_device::Bus::remove().
  void remove(const Bar& bar, std::uint64_t address);
  /// Whether a range became free after a BAR had been refused: its function may try again. Once.
  [[nodiscard]] bool take_freed();

 private:
  using Allocator = std::optional<vm_allocator::AddressAllocator>;

  BarSpace(Buses buses, const Windows& windows) : buses_(buses), windows_(windows) {}
  explicit BarSpace(std::shared_ptr<BarSpace> parent)
      : buses_(parent->buses_), windows_(parent->windows_), parent_(std::move(parent)) {}
  [[nodiscard]] bool is_forwarded(const Bar& bar, std::uint64_t address) const;
  Result<void, PciError> make_allocators();
  [[nodiscard]] Allocator& allocator_for(const Bar& bar) VMM_REQUIRES(mutex_);
  /// How often ranges have become free.
  [[nodiscard]] std::uint64_t frees();
  /// Whatever has become free since there were `frees_before` may be what was in the way.
  [[nodiscard]] bool note(bool placed, std::uint64_t frees_before);
  void note_free();

  Buses buses_;
  const Windows windows_;
  const std::shared_ptr<BarSpace> parent_;  // null: that of a root bus
  std::atomic<bool> freed_{false};          // changes with the mutex; read without
  mutable Mutex mutex_;
  bool refused_ VMM_GUARDED_BY(mutex_) = false;  // since the last take_freed()
  std::uint64_t frees_ VMM_GUARDED_BY(mutex_) = 0;
  Forwarded forwarded_ VMM_GUARDED_BY(mutex_);
  Allocator memory32_ VMM_GUARDED_BY(mutex_);
  Allocator memory64_ VMM_GUARDED_BY(mutex_);
  Allocator ports_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::pci
