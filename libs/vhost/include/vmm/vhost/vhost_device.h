// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost/dirty_log.h"
#include "vmm/vhost/iotlb_message.h"
#include "vmm/vhost/memory_table.h"
#include "vmm/vhost/vring.h"

namespace vmm::vhost {

/// Log all writes to guest memory; among the features that are set.
inline constexpr std::uint64_t kFeatureLogAll = std::uint64_t{1} << 26;
/// vhost-net: packets of the backend have no header. The bit means VIRTIO_F_ANY_LAYOUT to legacy
/// drivers.
inline constexpr std::uint64_t kFeatureNoNetHeader = std::uint64_t{1} << 27;

/// @{
/// Features of the interface, not of the device.
inline constexpr std::uint64_t kBackendIotlbV2 = std::uint64_t{1} << 1;
inline constexpr std::uint64_t kBackendIotlbBatch = std::uint64_t{1} << 2;
inline constexpr std::uint64_t kBackendAddressSpaces = std::uint64_t{1} << 3;
inline constexpr std::uint64_t kBackendSuspend = std::uint64_t{1} << 4;
/// @}

/// What all vhost devices of the kernel have: the requests of <linux/vhost.h>.
///
///   set_owner() -> set_features() -> set_memory() -> for each ring: size, base, addresses, kick,
///   call -> the device's own way to start it
///
/// A started device reads and writes guest memory on a thread of the kernel. Stop it before its
/// memory, or the ring's, is taken away.
///
/// Each function is one request; errors are the kernel's, with the request's name: ENOTTY from a
/// descriptor that is no such device, EPERM from another process than the owner, EBUSY for what
/// cannot be changed while the device runs, EFAULT for memory that is not mapped, ENOBUFS for a
/// ring that there is not.
///
/// Threads: the kernel locks; any, several at once.
class VhostDevice {
 public:
  /// The device's features, among them those of virtio that its data path knows.
  [[nodiscard]] Result<std::uint64_t> features() const;
  /// Errors: EOPNOTSUPP for what is not in features().
  Result<void> set_features(std::uint64_t features) const;
  /// Errors: ENOTTY from kernels before Linux 4.20, and from those devices that have none.
  [[nodiscard]] Result<std::uint64_t> backend_features() const;
  /// Also decides about the version of IOTLB messages. Errors: EOPNOTSUPP.
  Result<void> set_backend_features(std::uint64_t features);

  /// Makes this process the device's, whose memory it uses; starts its thread. Errors: EBUSY when
  /// it has an owner.
  Result<void> set_owner() const;
  /// Stops the device and forgets everything. Errors: ENOTTY where there is no such request
  /// (vhost-vsock).
  Result<void> reset_owner() const;
  /// Errors: E2BIG for more regions than the kernel takes.
  Result<void> set_memory(const MemoryTable& table) const;
  /// Where writes are logged; `log` stays as long as kFeatureLogAll is set. Before that.
  Result<void> set_log(const DirtyLog& log) const;
  /// An eventfd that tells of new marks in the log; -1: none.
  Result<void> set_log_event(int fd) const;

  /// `value`: entries. Errors: EINVAL unless a power of two below 2^16; EBUSY.
  Result<void> set_ring_size(VringValue size) const;
  /// Errors: EINVAL for what is not aligned; EFAULT.
  Result<void> set_ring_addresses(std::uint32_t ring, const VringAddresses& addresses) const;
  /// `value`: as to_base(). Errors: EINVAL; EBUSY.
  Result<void> set_ring_base(VringValue base) const;
  /// Where the device will go on, or is now: as to_base().
  [[nodiscard]] Result<std::uint32_t> ring_base(std::uint32_t ring) const;
  /// @{
  /// Eventfds; -1: none any more. The kernel keeps a reference of its own.
  Result<void> set_ring_kick(std::uint32_t ring, int fd) const;
  Result<void> set_ring_call(std::uint32_t ring, int fd) const;
  Result<void> set_ring_error(std::uint32_t ring, int fd) const;
  /// @}
  /// `value`: microseconds to look for new buffers before it waits for a kick.
  Result<void> set_busy_loop(VringValue timeout) const;
  /// As set_busy_loop() has it.
  [[nodiscard]] Result<std::uint32_t> busy_loop(std::uint32_t ring) const;

  /// With kFeatureAccessPlatform, or of vDPA: one message to the device's IOTLB, in the version
  /// that set_backend_features() agreed on. Errors: kNoAddressSpaces; those of write(2).
  Result<void> send_iotlb(const IotlbMessage& message) const;
  /// The device's next question; nullopt: none, of a device that was opened non-blocking.
  /// Errors: kBadMessage; those of read(2).
  [[nodiscard]] Result<std::optional<IotlbMessage>> receive_iotlb() const;

  /// Readable when receive_iotlb() has something.
  [[nodiscard]] int fd() const { return fd_.get(); }

 protected:
  /// For the devices: takes over a descriptor that is one.
  explicit VhostDevice(UniqueFd fd) : fd_(std::move(fd)) {}

  /// Opens for reading and writing, non-blocking; `what` names the attempt in errors and is static.
  /// Errors: those of open(2).
  static Result<UniqueFd> open_device(const char* path, const char* what);

 private:
  UniqueFd fd_;
  IotlbVersion iotlb_version_ = IotlbVersion::kV1;
};

}  // namespace vmm::vhost
