// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vsock_device.h"

#include <sys/resource.h>

#include <algorithm>

#include "opener.h"
#include "vmm/vhost_device/kernel_vsock.h"
#include "vmm/virtio_vsock/vsock.h"

namespace vmm::reference {
namespace {

// Each connection is a descriptor, and the usual limit of a process is 1024.
void allow_descriptors(rlim_t connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, connections + 1024));
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Outcome<std::shared_ptr<virtio_device::VirtioDevice>> make_vsock(const VsockConfig& config) {
  if (config.vhost) {
    const std::string context = "--vsock: cid=" + std::to_string(config.cid) + ",vhost=on";
    vhost_device::KernelVsock::Options options{.cid = config.cid};
    options.opener = [](const std::function<void()>& open) { opening(open); };
    VMM_STEP(context, auto vsock, vhost_device::KernelVsock::create(std::move(options)));
    return vsock;
  }
  const virtio_vsock::Vsock::Options options{.cid = config.cid, .socket = config.socket};
  allow_descriptors(options.limits.connections);
  VMM_STEP("--vsock: socket=" + config.socket, auto vsock, virtio_vsock::Vsock::create(options));
  return vsock;
}

}  // namespace vmm::reference
