// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/pci/config_space.h"
#include "vmm/pci/function.h"
#include "vmm/pci/hotplug.h"
#include "vmm/pci/msi.h"
#include "vmm/pci/pci_error.h"
#include "vmm/vm_device/irq.h"
#include "vmm/vm_device/msi_vectors.h"

namespace vmm::pci {

class ExpressSlot;

/// A PCI Express root port with a slot in which a device of one function comes and goes while the
/// guest runs: native hot-plug, for guests without ACPI (Linux: pciehp). PCI Express base 5.0, 6.7.
///
///   insert() --> presence, button --> the guest gives power; the link comes up; it looks there
///   ask()    --> button           --> the guest lets its driver go and takes the power away
///   EjectListener::ejected()      <-- that write, when the slot was asked for
///   remove() --> the slot is empty
///
/// Guests call the slot by 32 times the segment's number and the port's own slot. The guest numbers
/// the bus behind the port and gives it two windows of memory; the function there (device 0) is
/// reached while the slot has power, and decodes what lies in a window and in those of the segment.
/// There are no I/O ports behind it, and no reset of the bus.
///
/// What a guest can do to it with any writes: lose sight of the device, move it about, and give it
/// back when it was asked to.
///
/// Threads: config accesses, ask(), bus() and occupied() from any; insert() and remove() one at a
/// time. The function and the listener are called without the port's lock.
class RootPort final : public Function {
 public:
  /// What a port is made of.
  struct Parts {
    /// One, for the port's own interrupt; nullptr: it has the pin INTA.
    std::unique_ptr<vm_device::MsiVectors> vector = nullptr;
    EjectListener& listener;  ///< outlives the port
  };
  /// Errors: kNoCapabilityRoom, kBadVectors.
  static Result<std::shared_ptr<RootPort>, PciError> create(Parts parts);
  ~RootPort() override;

  /// When a device is inserted.
  enum class Moment : std::uint8_t {
    kFromStart,  ///< before the guest runs: the slot has power, nothing is told
    kLater,
  };
  /// Puts a device into the slot and tells the guest. Errors: kNoDevice while the port is not part
  /// of a segment; kSlotTaken; those of Function::attach().
  Result<void> insert(std::shared_ptr<Function> function, Moment moment);
  /// Asks the guest for the device, as often as one likes. A slot without power is given back at
  /// once. False when it is empty.
  [[nodiscard]] bool ask();
  /// Takes the device away, whether or not the guest has given it back. When it returns no access
  /// to its BARs is running. False when the slot is empty.
  [[nodiscard]] bool remove();

  /// Whether a device is in the slot.
  [[nodiscard]] bool occupied();
  /// The number of the bus behind it; 0: the guest has not given it one yet.
  [[nodiscard]] std::uint8_t bus() const { return bus_->load(); }

  Result<void> attach(const Attachment& attachment) override;
  void detach() override;
  void read_config(std::uint16_t offset, std::span<std::byte> data) override;
  /// From any thread; a change of the slot's control register may call the listener.
  void write_config(std::uint16_t offset, std::span<const std::byte> data) override;
  void retry_bars() override;
  [[nodiscard]] std::shared_ptr<Function> find_behind(ConfigAddress address) override;

 private:
  explicit RootPort(Parts&& parts);
  Result<void, PciError> lay_out() VMM_REQUIRES(mutex_);
  [[nodiscard]] Attachment attachment_behind() const VMM_REQUIRES(mutex_);
  [[nodiscard]] BarSpace::Forwarded windows() const VMM_REQUIRES(mutex_);
  [[nodiscard]] std::shared_ptr<Function> apply() VMM_REQUIRES(mutex_);
  void update_interrupt() VMM_REQUIRES(mutex_);
  [[nodiscard]] std::shared_ptr<Function> take() VMM_EXCLUDES(mutex_);

  EjectListener& listener_;
  vm_device::MsiVectors* vector_;  // of msi_; nullptr: the pin
  const std::shared_ptr<MsiDeviceId::BusNumber> bus_;

  Mutex mutex_;
  ConfigSpace config_ VMM_GUARDED_BY(mutex_);
  std::unique_ptr<ExpressSlot> slot_ VMM_GUARDED_BY(mutex_);
  std::unique_ptr<Msi> msi_ VMM_GUARDED_BY(mutex_);
  bool signalled_ VMM_GUARDED_BY(mutex_) = false;  // the guest was interrupted for these events
  std::optional<Attachment> attachment_ VMM_GUARDED_BY(mutex_);
  std::shared_ptr<vm_device::IrqLine> pin_ VMM_GUARDED_BY(mutex_);
  std::shared_ptr<BarSpace> bars_ VMM_GUARDED_BY(mutex_);  // of the bus behind
  std::shared_ptr<Function> function_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::pci
