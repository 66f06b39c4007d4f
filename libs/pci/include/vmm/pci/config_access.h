// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The two ways of a guest to configuration space. Both may outlive the segment; nothing answers
// then.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/pci/segment.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_device/irq.h"

namespace vmm::pci {

/// Memory-mapped: 4096 bytes for each function, Segment::kEcamBytes for each bus, as many buses as
/// the range on the VMM's bus has room for: PCI Express 7.2.2.
/// An access that passes the end of a function's space reads as all ones and writes nothing.
class Ecam final : public vm_device::BusDevice {
 public:
  /// Does not keep the segment alive.
  explicit Ecam(const std::shared_ptr<Segment>& segment) : segment_(segment) {}

  /// @{
  /// The offset's bits: bus 27:20, device and function 19:12, register 11:0.
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  /// @}

 private:
  const std::weak_ptr<Segment> segment_;
};

/// Through the ports 0xcf8 (address) and 0xcfc (data), for segment 0 of a PC: PCI 3.0, 3.2.2.3.2.
///
/// The address register takes writes of 4 bytes; the data register any, as long as they stay
/// inside its 4 ports. Without the enable bit data reads as all ones.
class ConfigPorts final : public vm_device::BusDevice {
 public:
  static constexpr std::uint16_t kBase = 0xcf8;  ///< the first of the ports
  static constexpr std::uint64_t kSize = 8;      ///< ports

  /// `reset` is triggered by the PC's reset register, a byte at 0xcf9, and outlives this object;
  /// nullptr: there is none.
  explicit ConfigPorts(const std::shared_ptr<Segment>& segment,
                       vm_device::IrqTrigger* reset = nullptr)
      : segment_(segment), reset_(reset) {}

  /// @{
  /// Offsets from kBase.
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  /// @}

 private:
  [[nodiscard]] std::uint32_t address();
  void write_reset_control(std::byte value);

  const std::weak_ptr<Segment> segment_;
  vm_device::IrqTrigger* const reset_;
  Mutex mutex_;
  std::uint32_t address_ VMM_GUARDED_BY(mutex_) = 0;
  std::byte reset_control_ VMM_GUARDED_BY(mutex_){};
};

}  // namespace vmm::pci
