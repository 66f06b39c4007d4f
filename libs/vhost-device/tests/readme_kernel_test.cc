// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run where there is vhost.

#include <sched.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "vmm/vhost_device/kernel_net.h"
#include "vmm/vhost_device/kernel_vsock.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_net/tap.h"

namespace {

using namespace vmm;
using virtio_device::VirtioDevice;

Result<std::shared_ptr<VirtioDevice>> network(const std::string& name) {
  VMM_TRY(auto tap, virtio_net::open_tap({.name = name}));
  VMM_TRY(auto engine, vhost_device::KernelNet::open());
  std::vector<std::unique_ptr<virtio_net::PacketEngine>> engines;  // one for each pair of queues
  engines.push_back(std::move(engine));
  VMM_TRY(auto net, virtio_net::Net::create({.mac = {2, 0, 0, 0, 0, 1}}, std::move(tap.queues),
                                            std::move(engines)));
  return std::shared_ptr<VirtioDevice>(net);  // give it to any transport
}

Result<std::shared_ptr<VirtioDevice>> sockets(std::uint64_t cid) {
  VMM_TRY(auto vsock, vhost_device::KernelVsock::create({.cid = cid}));
  return std::shared_ptr<VirtioDevice>(vsock);
}

}  // namespace

TEST_CASE("the README's example works", "[readme]") {
  if (::access("/dev/vhost-net", R_OK | W_OK) != 0 || ::unshare(CLONE_NEWNET) != 0) {
    WARN("skipped: no /dev/vhost-net, or not root (these tests run in the lab)");
    return;
  }
  const auto net = network("readme");
  REQUIRE(net);
  CHECK((*net)->queue_sizes().size() == 3);
  const auto vsock = sockets(0x4567a);
  REQUIRE(vsock);
  CHECK((*vsock)->config_bytes() == 8);
}
