// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/vsock.h"

#include "uapi.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::vhost {

Result<Vsock> Vsock::open(const char* path) {
  VMM_TRY(UniqueFd fd, open_device(path, "open the vhost-vsock device"));
  return Vsock(std::move(fd));
}

Result<void> Vsock::set_guest_cid(std::uint64_t cid) const {
  VMM_TRY_DO(
      sys_util::ioctl(fd(), VMM_IOCTL(VHOST_VSOCK_SET_GUEST_CID), static_cast<const void*>(&cid)));
  return {};
}

Result<void> Vsock::set_running(bool running) const {
  const int argument = running ? 1 : 0;
  VMM_TRY_DO(sys_util::ioctl(fd(), VMM_IOCTL(VHOST_VSOCK_SET_RUNNING),
                             static_cast<const void*>(&argument)));
  return {};
}

}  // namespace vmm::vhost
