// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/device.h"

#include "uapi_extra.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::kvm_ioctls::detail {

namespace {

kvm_device_attr raw(const DeviceAttr& attr) {
  return {.flags = attr.flags,
          .group = attr.group,
          .attr = attr.attr,
          .addr = reinterpret_cast<std::uintptr_t>(attr.data)};
}

}  // namespace

Result<void> set_attr(int fd, const DeviceAttr& attr) {
  kvm_device_attr request = raw(attr);
  VMM_TRY_DO(sys_util::ioctl(fd, VMM_IOCTL(KVM_SET_DEVICE_ATTR), &request));
  return {};
}

Result<void> get_attr(int fd, const DeviceAttr& attr) {
  kvm_device_attr request = raw(attr);
  VMM_TRY_DO(sys_util::ioctl(fd, VMM_IOCTL(KVM_GET_DEVICE_ATTR), &request));
  return {};
}

bool has_attr(int fd, const DeviceAttr& attr) {
  kvm_device_attr request = raw(attr);
  return sys_util::ioctl(fd, VMM_IOCTL(KVM_HAS_DEVICE_ATTR), &request).has_value();
}

}  // namespace vmm::kvm_ioctls::detail
