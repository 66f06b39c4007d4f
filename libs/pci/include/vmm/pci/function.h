// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "vmm/base/result.h"
#include "vmm/pci/bar.h"
#include "vmm/vm_device/irq.h"

namespace vmm::pci {

/// Where a function is. Each segment has one bus, 0.
struct FunctionAddress {
  std::uint16_t segment = 0;
  std::uint8_t slot = 0;      ///< 0 to 31
  std::uint8_t function = 0;  ///< 0 to 7

  /// Slot and function as the requester id has them.
  [[nodiscard]] constexpr std::uint8_t devfn() const {
    return static_cast<std::uint8_t>(slot << 3 | function);
  }
  friend constexpr bool operator==(const FunctionAddress&, const FunctionAddress&) = default;
};

/// What a function gets when it becomes part of a segment.
struct Attachment {
  FunctionAddress address;
  std::shared_ptr<BarSpace> bars;
  /// The level interrupt of each pin, INTA first; shared with other functions. Null: none.
  std::shared_ptr<vm_device::IrqLine> intx[4];
  /// For MsiMessage::device_id.
  std::optional<std::uint32_t> msi_device_id;
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

  /// Accesses inside the 4096 bytes, of any size and alignment.
  virtual void read_config(std::uint16_t offset, std::span<std::byte> data) = 0;
  virtual void write_config(std::uint16_t offset, std::span<const std::byte> data) = 0;
  /// Some range on the buses became free: BARs that were refused are tried again.
  virtual void retry_bars() = 0;

 protected:
  Function() = default;
};

/// The host bridge for slot 0: 8086:0d57, class 0x060000, no BARs.
[[nodiscard]] std::shared_ptr<Function> make_host_bridge();

}  // namespace vmm::pci
