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

#include "vmm/base/guest_address.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/pci/bar.h"
#include "vmm/pci/config_space.h"
#include "vmm/pci/function.h"
#include "vmm/vm_device/irq.h"

namespace vmm::pci {

/// What a device does behind its Endpoint.
///
/// Threads: BAR accesses from any thread, several at once. The others are called one at a time,
/// with the endpoint's lock held: they may lock what BAR accesses lock, but a BAR access must not
/// call the endpoint (set_intx() excepted), as turning decoding off waits for it.
class EndpointDevice {
 public:
  /// @{
  /// Accesses inside a BAR, of any size and alignment; `data` holds zeros when it is to be read.
  virtual void read_bar(std::uint8_t bar, std::uint64_t offset, std::span<std::byte> data) = 0;
  virtual void write_bar(std::uint8_t bar, std::uint64_t offset,
                         std::span<const std::byte> data) = 0;
  /// @}
  /// A memory BAR is decoded at `address` from now on, or nowhere. Between two places it is told
  /// nowhere first, before the range leaves the bus.
  virtual void bar_moved(std::uint8_t bar, std::optional<GuestAddress> address) = 0;
  /// @{
  /// Before the guest reads, and after it has written, `bytes` bytes of `config`: for capabilities
  /// that have effects. The range lies in configuration space. The command register may be changed
  /// after a write, as a reset of the function does.
  virtual void before_config_read(ConfigSpace& config, std::uint16_t offset, std::size_t bytes) = 0;
  virtual void after_config_write(ConfigSpace& config, std::uint16_t offset, std::size_t bytes) = 0;
  /// @}

 protected:
  ~EndpointDevice() = default;
};

/// Whether an access touches any of the bytes of a register.
[[nodiscard]] constexpr bool touches(std::uint16_t offset, std::size_t bytes, std::uint16_t at,
                                     std::size_t register_bytes) {
  return offset < at + register_bytes && at < offset + bytes;
}

/// The part that emulated endpoints share: configuration space, BARs that follow the guest's
/// writes, the interrupt pin.
///
/// Each BAR is on the bus while the command register's enable bit is set and its address is in a
/// window. A write that changes an address while decoding is enabled moves the range in one step,
/// for a 64-bit BAR with each half. Where that is refused (outside the windows, or over another
/// range) the BAR is not decoded. The next write to the command register or any BAR of this
/// function tries again, and so does retry_bars(), when another function has made room.
///
/// Threads: config accesses, retry_bars(), set_intx() and detach(): any. Set-up before attach():
/// one. Locks, in order: the endpoint's, the device's own, the pin's.
class Endpoint {
 public:
  /// `device` outlives the endpoint, which is detached before the device dies.
  Endpoint(const Header& header, EndpointDevice& device);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  /// Errors: kBadBar, kAttached.
  Result<void, PciError> add_bar(const Bar& bar);
  /// As ConfigSpace's. Errors: kNoCapabilityRoom.
  Result<std::uint16_t, PciError> add_capability(std::uint8_t id, std::span<const std::byte> body,
                                                 std::span<const std::byte> writable = {});
  /// As ConfigSpace's. Errors: kNoCapabilityRoom.
  Result<std::uint16_t, PciError> add_extended_capability(ConfigSpace::ExtendedId id,
                                                          std::span<const std::byte> body,
                                                          std::span<const std::byte> writable = {});

  /// Calls `edit` with the configuration space and the lock held: for what a device lays out
  /// itself, and to keep accesses away from what it changes of its own. `edit` must not call the
  /// endpoint.
  template <class Edit>
  auto with_config(Edit&& edit) {
    const MutexLock lock(mutex_);
    return edit(config_);
  }

  /// Gives each BAR a first address. Errors: kNoAddress, kAttached.
  Result<void, PciError> attach(const Attachment& attachment);
  /// @{
  /// As Function's functions of the same names.
  void detach();
  void read_config(std::uint16_t offset, std::span<std::byte> data);
  void write_config(std::uint16_t offset, std::span<const std::byte> data);
  void retry_bars();
  /// @}

  /// Asserts the interrupt pin, unless the driver disabled it. Any thread, also inside a BAR
  /// access.
  void set_intx(bool asserted);

  /// Where a BAR is decoded; nullopt: nowhere. Not from the device's functions.
  [[nodiscard]] std::optional<std::uint64_t> decoded_at(std::uint8_t bar);

 private:
  class Port;
  struct Slot {
    Bar bar;
    std::shared_ptr<Port> port;
    std::optional<std::uint64_t> first;    // what the allocator gave
    std::optional<std::uint64_t> decoded;  // where it is on the bus
  };

  [[nodiscard]] bool takes(std::uint8_t index) const VMM_REQUIRES(mutex_);
  void add_registers(const Bar& bar) VMM_REQUIRES(mutex_);
  void set_address(const Bar& bar, std::uint64_t address) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t address(const Bar& bar) const VMM_REQUIRES(mutex_);
  [[nodiscard]] std::optional<std::uint64_t> wanted(const Bar& bar) const VMM_REQUIRES(mutex_);
  void apply_command() VMM_REQUIRES(mutex_);
  void update_decoding() VMM_REQUIRES(mutex_);
  [[nodiscard]] bool decode(Slot& slot) VMM_REQUIRES(mutex_);
  void move_to(Slot& slot, std::optional<std::uint64_t> to) VMM_REQUIRES(mutex_);
  void release_addresses() VMM_REQUIRES(mutex_);
  void update_intx(bool disabled) VMM_EXCLUDES(intx_mutex_);

  EndpointDevice& device_;

  Mutex mutex_;
  ConfigSpace config_ VMM_GUARDED_BY(mutex_);
  std::vector<Slot> slots_ VMM_GUARDED_BY(mutex_);
  std::shared_ptr<BarSpace> space_ VMM_GUARDED_BY(mutex_);  // null: not part of a segment
  bool was_attached_ VMM_GUARDED_BY(mutex_) = false;

  Mutex intx_mutex_;  // after mutex_ and the device's
  std::shared_ptr<vm_device::IrqLine> intx_ VMM_GUARDED_BY(intx_mutex_);
  bool intx_asserted_ VMM_GUARDED_BY(intx_mutex_) = false;
  bool intx_disabled_ VMM_GUARDED_BY(intx_mutex_) = false;
};

}  // namespace vmm::pci
