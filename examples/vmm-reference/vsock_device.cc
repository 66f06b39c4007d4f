// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vsock_device.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <semaphore>

#include "io_thread.h"
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

// On a thread that has the rights of the opener and nothing else to do: a vCPU, whose guest resets
// the device, does not wait for what the opener does for others.
Outcome<std::function<void(const std::function<void()>&)>> make_opener() {
  VMM_TRY(auto made, IoThread::create(ThreadKind::kOpener, "vsock-opener"));
  const std::shared_ptr<IoThread> thread = std::move(made);
  return [thread](const std::function<void()>& open) {
    std::binary_semaphore done(0);
    thread->loop().post([&] {
      open();
      done.release();
    });
    done.acquire();
  };
}

}  // namespace

Outcome<std::shared_ptr<virtio_device::VirtioDevice>> make_vsock(const VsockConfig& config) {
  if (config.vhost) {
    const std::string context = "--vsock: cid=" + std::to_string(config.cid) + ",vhost=on";
    vhost_device::KernelVsock::Options options{.cid = config.cid};
    VMM_TRY(options.opener, make_opener());
    VMM_STEP(context, auto vsock, vhost_device::KernelVsock::create(std::move(options)));
    return vsock;
  }
  const virtio_vsock::Vsock::Options options{.cid = config.cid, .socket = config.socket};
  allow_descriptors(options.limits.connections);
  VMM_STEP("--vsock: socket=" + config.socket, auto vsock, virtio_vsock::Vsock::create(options));
  return vsock;
}

}  // namespace vmm::reference
