// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/pci/bar.h"
#include "vmm/pci/function.h"
#include "vmm/pci/intx.h"
#include "vmm/pci/pci_error.h"

namespace vmm::pci {

/// A PCI segment (domain): a root bus of 32 slots, with windows of its own for BARs. Ports in its
/// slots have further buses behind them (RootPort).
///
/// Threads: any. Accesses to functions run without its lock.
class Segment {
 public:
  /// @{
  static constexpr std::uint8_t kSlots = 32;  ///< of a bus, and of a slot (PCI 3.0, 3.2.2.3.2)
  static constexpr std::uint8_t kFunctions = 8;
  /// @}
  static constexpr std::uint64_t kEcamBytes = 1 << 20;  ///< for each bus

  /// What a segment is made of.
  struct Parts {
    std::uint16_t number = 0;   ///< the domain: _SEG, or linux,pci-domain
    BarSpace::Buses buses;      ///< outlive the segment
    Windows windows;            ///< for BARs on the root bus
    IntxLines* intx = nullptr;  ///< outlives the segment; nullptr: no pins
    /// Requester id 0 of this segment as MSI messages name it; nullopt: they name none.
    std::optional<std::uint32_t> msi_device_base = std::nullopt;
  };

  /// Errors: kBadWindow.
  static Result<std::shared_ptr<Segment>, PciError> create(const Parts& parts);
  /// Removes all devices. The buses still exist; no vCPU uses config space any more.
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  /// As in Parts.
  [[nodiscard]] std::uint16_t number() const { return number_; }

  /// Keeps a slot for a device that is added later and names it. Errors: kBadSlot, kSlotTaken.
  Result<void, PciError> reserve(std::uint8_t slot);

  /// Where a function goes.
  struct Place {
    std::optional<std::uint8_t> slot = std::nullopt;  ///< nullopt: the lowest free one
    std::uint8_t function = 0;  ///< others than 0 go to a slot that has a device
  };
  /// Adds a function; the guest sees it from now on.
  /// Errors: kBadSlot, kSlotTaken, kNoFreeSlot; kNoDevice for a slot without a function 0; those of
  /// Function::attach().
  Result<FunctionAddress> add(std::shared_ptr<Function> function, Place place);
  /// The lowest free slot, function 0.
  Result<FunctionAddress> add(std::shared_ptr<Function> function) {
    return add(std::move(function), Place{});
  }
  /// Removes all functions of a slot, which is free then. When it returns no access to their BARs
  /// is running. Errors: kBadSlot, kNoDevice.
  Result<void, PciError> remove(std::uint8_t slot);
  /// The slots with a device, a bit each.
  [[nodiscard]] std::uint32_t occupied();

  /// @{
  /// Config accesses, also by whoever offers a way of their own to configuration space. Functions
  /// that do not exist, and bytes beyond 4096, read as all ones.
  void read_config(ConfigAddress address, std::uint16_t offset, std::span<std::byte> data);
  void write_config(ConfigAddress address, std::uint16_t offset, std::span<const std::byte> data);
  /// @}
  /// @{
  /// The same on the root bus.
  void read_config(std::uint8_t devfn, std::uint16_t offset, std::span<std::byte> data) {
    read_config({.bus = 0, .devfn = devfn}, offset, data);
  }
  void write_config(std::uint8_t devfn, std::uint16_t offset, std::span<const std::byte> data) {
    write_config({.bus = 0, .devfn = devfn}, offset, data);
  }
  /// @}

 private:
  using Slot = std::array<std::shared_ptr<Function>, kFunctions>;

  Segment(const Parts& parts, std::shared_ptr<BarSpace> bars);
  Result<FunctionAddress, PciError> choose(Place place) VMM_REQUIRES(mutex_);
  [[nodiscard]] bool is_empty(std::uint8_t slot) const VMM_REQUIRES(mutex_);
  [[nodiscard]] Attachment attachment_for(const FunctionAddress& address) const;
  [[nodiscard]] std::shared_ptr<Function> find(ConfigAddress address);
  void retry_bars();

  const std::uint16_t number_;
  const std::shared_ptr<BarSpace> bars_;
  IntxLines* const intx_;
  const std::optional<std::uint32_t> msi_device_base_;

  Mutex mutex_;
  std::array<Slot, kSlots> slots_ VMM_GUARDED_BY(mutex_);
  std::uint32_t reserved_ VMM_GUARDED_BY(mutex_) = 0;
  std::array<std::uint8_t, kSlots> attaching_ VMM_GUARDED_BY(mutex_){};  // a bit each function
};

}  // namespace vmm::pci
