// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::kvm_ioctls {

/// What KVM_CREATE_DEVICE makes (enum kvm_device_type).
enum class DeviceType : std::uint32_t {
  kVfio = 4,
  kArmVgicV2 = 5,
  kArmVgicV3 = 7,
  kArmVgicIts = 8,
  kArmPvTime = 10,
  kRiscvAia = 11,
};

/// Where an attribute is, and the memory that it is read into or written from.
///
/// KVM decides by group and attribute how many bytes it reads or writes at `data`: the caller
/// sees to it that there are as many.
struct DeviceAttr {
  std::uint32_t group = 0;  ///< a number of the device's documentation (virt/kvm/devices)
  std::uint64_t attr = 0;   ///< within the group
  void* data = nullptr;     ///< borrowed for the call
  std::uint32_t flags = 0;  ///< none is defined: 0
};

namespace detail {
// For every descriptor that has attributes: system, VM, vCPU, device.
Result<void> set_attr(int fd, const DeviceAttr& attr);
Result<void> get_attr(int fd, const DeviceAttr& attr);
bool has_attr(int fd, const DeviceAttr& attr);
}  // namespace detail

/// A device inside KVM: an interrupt controller, or the registry of VFIO groups.
///
/// Thread-safety: all functions may be called from any thread.
class Device {
 public:
  /// Takes over the descriptor of a KVM device.
  static Device adopt(UniqueFd fd) { return Device(std::move(fd)); }

  /// Errors: ENXIO for an unknown attribute; others of the device.
  Result<void> set_attr(const DeviceAttr& attr) const { return detail::set_attr(fd_.get(), attr); }
  /// Reads into `attr.data`. Errors: as for set_attr().
  Result<void> get_attr(const DeviceAttr& attr) const { return detail::get_attr(fd_.get(), attr); }
  /// Whether the attribute exists.
  [[nodiscard]] bool has_attr(const DeviceAttr& attr) const {
    return detail::has_attr(fd_.get(), attr);
  }

  /// Borrowed: valid as long as this object lives.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Hands out the descriptor. A VGIC lives as long as the VM all the same; the registry of VFIO
  /// groups may end when it is closed.
  [[nodiscard]] UniqueFd release() && { return std::move(fd_); }

 private:
  explicit Device(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace vmm::kvm_ioctls
