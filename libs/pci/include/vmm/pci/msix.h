// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/pci/msi_device_id.h"
#include "vmm/pci/pci_error.h"
#include "vmm/vm_device/irq.h"
#include "vmm/vm_device/msi_vectors.h"

namespace vmm::pci {

/// The state of an Msix for snapshots.
struct MsixState {
  /// One vector.
  struct Entry {
    /// @{
    std::uint64_t address = 0;  ///< message address and data, and vector control: bit 0 masks
    std::uint32_t data = 0;
    std::uint32_t control = 0;
    /// @}
    bool pending = false;  ///< an event waits

    friend bool operator==(const Entry&, const Entry&) = default;
  };
  std::uint16_t control = 0;   ///< message control: kEnable and kFunctionMask
  std::vector<Entry> entries;  ///< as many as there are vectors

  friend bool operator==(const MsixState&, const MsixState&) = default;
};

/// MSI-X: the table of messages, masks and pending bits: PCI 3.0, 6.8.2.
///
/// A vector has its message routed while MSI-X is enabled and neither the function nor the vector
/// is masked; events meanwhile are pending, and sent at the unmask.
///
/// Threads: any. trigger() takes no lock; the others take one, in which MsiVectors are called.
class Msix {
 public:
  static constexpr std::uint16_t kMaxVectors = 2048;  ///< of the control register's eleven bits
  static constexpr std::size_t kEntryBytes = 16;      ///< of the table
  static constexpr std::uint16_t kControl = 2;  ///< message control, from the capability's start
  /// @{
  static constexpr std::uint16_t kEnable = 0x8000;  ///< bits of message control
  static constexpr std::uint16_t kFunctionMask = 0x4000;
  /// @}

  /// `vectors` has `count` of them. Errors: kBadVectors.
  static Result<std::unique_ptr<Msix>, PciError> create(
      std::unique_ptr<vm_device::MsiVectors> vectors, std::uint16_t count);

  /// Where table and pending bits are: a BAR's index, and an offset in it, a multiple of 8.
  struct Place {
    std::uint8_t bar = 0;      ///< 0 to 5
    std::uint32_t offset = 0;  ///< bytes
  };
  /// The two structures in memory.
  struct Places {
    Place table;    ///< kEntryBytes for each vector
    Place pending;  ///< a bit for each vector, in whole 64-bit words
  };
  static constexpr std::size_t kCapabilityBytes = 10;  ///< behind id and pointer
  /// The body for ConfigSpace::add_capability(): message control and both places.
  [[nodiscard]] std::array<std::byte, kCapabilityBytes> capability(const Places& places) const;
  /// The bits that the guest may write, for ConfigSpace::add_capability().
  [[nodiscard]] static std::array<std::byte, 2> capability_mask();

  /// Who writes the messages; before the guest runs.
  void set_device_id(MsiDeviceId device_id);

  /// Vectors in the table.
  [[nodiscard]] std::uint16_t count() const { return count_; }
  /// Whether the guest has set kEnable. Any thread, without the lock.
  [[nodiscard]] bool enabled() const { return enabled_.load(std::memory_order_acquire); }
  /// The guest wrote message control.
  void set_control(std::uint16_t control);

  /// Accesses to the table and to the pending bits: 4 bytes at multiples of 4, 8 at multiples of
  /// 8. Others, and what is beyond the vectors, read as zeros and are passed over.
  void read_table(std::uint64_t offset, std::span<std::byte> data);
  /// @{
  /// As read_table(). The pending bits are read-only.
  void write_table(std::uint64_t offset, std::span<const std::byte> data);
  void read_pending(std::uint64_t offset, std::span<std::byte> data);
  /// @}

  /// An event. Nothing for a vector that does not exist.
  void trigger(std::uint16_t vector);
  /// As MsiVectors::trigger_fd(); -1 for a vector that does not exist.
  [[nodiscard]] int trigger_fd(std::uint16_t vector) const;
  /// Forgets waiting events.
  void clear_pending();
  /// Disabled, all vectors masked, nothing pending.
  void reset();

  /// For a snapshot, once nothing triggers any more.
  [[nodiscard]] MsixState state();
  /// Errors: kBadState for another number of vectors, or reserved bits; nothing has changed then.
  Result<void, PciError> restore(const MsixState& state);

 private:
  struct Entry {
    std::uint64_t address = 0;
    std::uint32_t data = 0;
    std::uint32_t control = kMasked;
    std::optional<vm_device::MsiMessage> routed;
  };
  static constexpr std::uint32_t kMasked = 1;  // of Entry::control

  Msix(std::unique_ptr<vm_device::MsiVectors> vectors, std::uint16_t count);
  [[nodiscard]] std::uint32_t word(std::size_t index) const VMM_REQUIRES(mutex_);
  void set_word(std::size_t index, std::uint32_t value) VMM_REQUIRES(mutex_);
  void route(std::uint16_t vector) VMM_REQUIRES(mutex_);
  void route_all() VMM_REQUIRES(mutex_);

  const std::uint16_t count_;
  const std::unique_ptr<vm_device::MsiVectors> vectors_;
  std::atomic<bool> enabled_{false};

  Mutex mutex_;
  std::uint16_t control_ VMM_GUARDED_BY(mutex_) = 0;
  MsiDeviceId device_id_ VMM_GUARDED_BY(mutex_);
  std::vector<Entry> entries_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::pci
