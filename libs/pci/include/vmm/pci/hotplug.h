// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/pci/function.h"
#include "vmm/pci/pci_error.h"
#include "vmm/vm_device/bus_device.h"

namespace vmm::pci {

/// Hears of the slots that the guest has let go.
class EjectListener {
 public:
  /// The guest has ejected a slot that it was asked for; once for each time it was asked. From any
  /// thread that writes to the registers, without their lock: it has to be short.
  virtual void ejected(FunctionAddress slot) = 0;

 protected:
  ~EjectListener() = default;
};

/// The registers through which an ACPI guest learns which slots were filled, and which it is to
/// give back, and through which it gives them back. Methods of the DSDT use them when a general
/// purpose or generic event says that there is something to see.
///
/// | offset | read                                        | write                    |
/// |--------|---------------------------------------------|--------------------------|
/// | 0      | slots that were filled, a bit each; clears  | nothing                  |
/// | 4      | slots to give back, a bit each; clears      | nothing                  |
/// | 8      | 0                                           | slots that are given back |
/// | 12     | the segment that the others are about       | selects it               |
///
/// They take whole words of four bytes; other accesses read as zeros and are passed over, and so is
/// a segment that does not exist. A slot that was not asked for is not ejected by the guest.
///
/// Threads: any, at once.
class HotplugRegisters final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 16;  ///< bytes
  /// @{
  static constexpr std::uint64_t kUp = 0;  ///< offsets
  static constexpr std::uint64_t kDown = 4;
  static constexpr std::uint64_t kEject = 8;
  static constexpr std::uint64_t kSegmentSelect = 12;
  /// @}
  static constexpr std::uint16_t kMaxSegments = 256;  ///< that the constructor takes

  /// Precondition: 1 to kMaxSegments segments. `listener` outlives this object.
  HotplugRegisters(std::uint16_t segments, EjectListener& listener);

  /// The slot has a device now: the guest finds it at its next look. Errors: kBadSlot.
  Result<void, PciError> plugged(FunctionAddress slot);
  /// Asks for the slot, as often as one likes. Errors: kBadSlot.
  Result<void, PciError> ask_for(FunctionAddress slot);
  /// The slot is empty, whatever the guest was asked: nothing is to be seen of it any more, and its
  /// ejection is not heard of.
  void forget(FunctionAddress slot);

  /// @{
  /// Accesses by the table above.
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  /// @}

 private:
  struct Slots {
    std::uint32_t up = 0;
    std::uint32_t down = 0;
    std::uint32_t asked = 0;  // until they are ejected
  };

  [[nodiscard]] bool exists(FunctionAddress slot) const;
  [[nodiscard]] std::uint32_t take(std::uint64_t offset) VMM_EXCLUDES(mutex_);
  void eject(std::uint32_t slots) VMM_EXCLUDES(mutex_);

  EjectListener& listener_;
  Mutex mutex_;
  std::vector<Slots> segments_ VMM_GUARDED_BY(mutex_);  // its size is constant
  std::uint16_t selected_ VMM_GUARDED_BY(mutex_) = 0;
  const std::uint16_t count_;
};

}  // namespace vmm::pci
