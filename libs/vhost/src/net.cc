// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/net.h"

#include "uapi.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::vhost {

Result<Net> Net::open(const char* path) {
  VMM_TRY(UniqueFd fd, open_device(path, "open the vhost-net device"));
  return Net(std::move(fd));
}

Result<void> Net::set_backend(std::uint32_t ring, int backend) const {
  const vhost_vring_file argument{.index = ring, .fd = backend};
  VMM_TRY_DO(
      sys_util::ioctl(fd(), VMM_IOCTL(VHOST_NET_SET_BACKEND), static_cast<const void*>(&argument)));
  return {};
}

}  // namespace vmm::vhost
