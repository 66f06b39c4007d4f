// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/iova.h"
#include "vmm/vhost/vhost_device.h"
#include "vmm/vm_memory/translator.h"

namespace vmm::vhost {

/// The I/O addresses that a vDPA device reaches. Inclusive.
struct IovaWindow {
  /// @{
  Iova first;  ///< both are part of it
  Iova last;
  /// @}
};

/// A mapping for the device's DMA.
struct DmaMapping {
  /// @{
  /// As long as each other, in whole pages of the host.
  Iova iova{};
  std::span<std::byte> host{};
  /// @}
  vm_memory::Access access = vm_memory::Access::kReadWrite;  ///< what the device may do
  std::uint32_t address_space = 0;  ///< of those that address_space_count() says
};

/// vhost-vdpa: a virtio device of hardware, or of a program, behind a vhost descriptor. It has a
/// status and a configuration space of its own, which are passed on, and reaches guest memory
/// through mappings instead of a memory table.
///
/// Group, address space and ring counts are in the device's hands: they are taken as they come.
///
/// Threads: as VhostDevice.
class Vdpa final : public VhostDevice {
 public:
  /// `path` is /dev/vhost-vdpa-N. Errors: those of open(2); EBUSY: somebody has it open.
  static Result<Vdpa> open(const char* path);
  /// Takes an open vhost-vdpa device.
  static Vdpa adopt(UniqueFd fd) { return Vdpa(std::move(fd)); }

  /// The number of the virtio device type.
  [[nodiscard]] Result<std::uint32_t> device_id() const;
  /// The device status of virtio 1.3, 2.1.
  [[nodiscard]] Result<std::uint8_t> status() const;
  /// Errors: EINVAL for a status that takes bits back without being 0.
  Result<void> set_status(std::uint8_t status) const;

  /// The size of the configuration space.
  [[nodiscard]] Result<std::uint32_t> config_bytes() const;
  /// Fills `data`, which has 4096 bytes at most, from the configuration space.
  /// Errors: EINVAL; E2BIG for what is beyond it.
  Result<void> read_config(std::uint32_t offset, std::span<std::byte> data) const;
  /// The same for a write; what the device does not let be written it passes over.
  Result<void> write_config(std::uint32_t offset, std::span<const std::byte> data) const;
  /// An eventfd that tells of changes of the configuration space; -1: none.
  Result<void> set_config_call(int fd) const;

  /// `value`: 1 or 0.
  Result<void> set_ring_enable(VringValue enable) const;
  /// The most entries of a ring.
  [[nodiscard]] Result<std::uint16_t> max_ring_size() const;
  /// How many rings the device has.
  [[nodiscard]] Result<std::uint32_t> ring_count() const;
  /// Where mappings may be.
  [[nodiscard]] Result<IovaWindow> iova_window() const;

  /// @{
  /// How many groups of rings, and how many address spaces for them.
  [[nodiscard]] Result<std::uint32_t> group_count() const;
  [[nodiscard]] Result<std::uint32_t> address_space_count() const;
  /// @}
  /// The group that a ring belongs to; its address space is the group's.
  [[nodiscard]] Result<std::uint32_t> ring_group(std::uint32_t ring) const;
  /// `ring` is the group, `value` its address space.
  Result<void> set_group_address_space(VringValue space) const;
  /// Stops all rings, whose bases may be read then. Errors: EOPNOTSUPP without kBackendSuspend.
  Result<void> suspend() const;

  /// Lets the device reach host memory, which stays mapped until it is unmapped here.
  /// Errors: kBadMapping, kNoAddressSpaces; EINVAL outside of iova_window(); EEXIST.
  Result<void> map(const DmaMapping& mapping) const;
  /// Errors: as map(). What is not mapped is passed over.
  Result<void> unmap(Iova iova, std::uint64_t bytes, std::uint32_t address_space = 0) const;

 private:
  explicit Vdpa(UniqueFd fd) : VhostDevice(std::move(fd)) {}
};

}  // namespace vmm::vhost
