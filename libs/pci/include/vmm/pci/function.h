// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/base/result.h"
#include "vmm/pci/bar.h"
#include "vmm/pci/intx.h"
#include "vmm/pci/msi_device_id.h"
#include "vmm/vm_device/irq.h"

namespace vmm::pci {

/// Where a function is: on bus 0 of its segment, or behind the port that is there.
struct FunctionAddress {
  std::uint16_t segment = 0;  ///< the domain
  std::uint8_t slot = 0;      ///< 0 to 31
  std::uint8_t function = 0;  ///< 0 to 7

  /// Slot and function as the requester id has them.
  [[nodiscard]] constexpr std::uint8_t devfn() const {
    return static_cast<std::uint8_t>(slot << 3 | function);
  }
  friend constexpr bool operator==(const FunctionAddress&, const FunctionAddress&) = default;
};

/// A function as accesses to configuration space name it.
struct ConfigAddress {
  std::uint8_t bus = 0;    ///< 0: the root bus; others are behind ports
  std::uint8_t devfn = 0;  ///< device << 3 | function
};

/// What a function gets when it becomes part of a segment.
struct Attachment {
  FunctionAddress address;         ///< where it is now
  std::shared_ptr<BarSpace> bars;  ///< where its BARs go
  /// The level interrupt of each pin, INTA first; shared with other functions. Null: none.
  std::shared_ptr<vm_device::IrqLine> intx[4];
  /// Where those come from, for bridges; they outlive the function. nullptr: there are none.
  IntxLines* lines = nullptr;
  MsiDeviceId msi_device_id;  ///< for its MSI messages
};

/// A function of a device in a slot.
///
///   made -> attach() -> read_config(), write_config(), ... -> detach() -> destroyed
///
/// Threads: config accesses from any, several at once, and also while detach() runs and after it.
class Function {
 public:
  virtual ~Function() = default;
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  /// Once. Errors: kNoAddress and others; the function is not part of the segment then.
  virtual Result<void> attach(const Attachment& attachment) = 0;
  /// Takes everything off the buses, for good: when it returns, no access to a BAR is running and
  /// none will start, and no interrupt is asserted.
  virtual void detach() = 0;

  /// @{
  /// Accesses inside the 4096 bytes, of any size and alignment.
  virtual void read_config(std::uint16_t offset, std::span<std::byte> data) = 0;
  virtual void write_config(std::uint16_t offset, std::span<const std::byte> data) = 0;
  /// @}
  /// Some range on the buses became free: BARs that were refused are tried again.
  virtual void retry_bars() = 0;
  /// Of a bridge: the function at this address behind it, for accesses to configuration space; null
  /// when there is none. Must not block.
  [[nodiscard]] virtual std::shared_ptr<Function> find_behind(ConfigAddress /*address*/) {
    return nullptr;
  }

 protected:
  Function() = default;
};

/// The host bridge for slot 0: 8086:0d57, class 0x060000, no BARs.
[[nodiscard]] std::shared_ptr<Function> make_host_bridge();

}  // namespace vmm::pci
