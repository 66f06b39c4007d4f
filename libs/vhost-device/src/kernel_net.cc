// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_device/kernel_net.h"

#include <cerrno>
#include <utility>

#include "vhost_worker.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_net/net.h"

namespace vmm::vhost_device {
namespace {

using virtio_net::NetFeature;

/// Rings of one pair, each of which starts for itself.
class NetSwitch final : public RingSwitch {
 public:
  NetSwitch(const vhost::Net& device, const virtio_net::NetPort& port)
      : device_(device), port_(port) {}

  Result<void> start(std::uint32_t ring) override { return device_.set_backend(ring, port_.fd()); }
  Result<void> stop(std::uint32_t ring) override { return device_.set_backend(ring, -1); }

 private:
  const vhost::Net& device_;
  const virtio_net::NetPort& port_;
};

}  // namespace

Result<std::unique_ptr<KernelNet>> KernelNet::open(const char* path) {
  VMM_TRY(auto device, vhost::Net::open(path));
  return adopt(std::move(device));
}

Result<std::unique_ptr<KernelNet>> KernelNet::adopt(vhost::Net device) {
  VMM_TRY_DO(device.set_owner());
  VMM_TRY(const std::uint64_t offered, device.features());
  if ((offered & virtio_device::kFeatureVersion1) == 0) {
    return fail(Error::os(ENOTSUP, "vhost-net: VIRTIO_F_VERSION_1"));
  }
  return std::unique_ptr<KernelNet>(new KernelNet(std::move(device), offered));
}

std::uint64_t KernelNet::features() const {
  const std::uint64_t mergeable = virtio_net::bit(NetFeature::kMrgRxbuf);
  const std::uint64_t unknown = (offered_ & mergeable) != 0 ? 0 : mergeable;
  return queue_features(offered_) & ~unknown;
}

Result<std::unique_ptr<virtio_device::Worker>> KernelNet::activate(
    const Pair& pair, virtio_device::Activation activation) {
  VMM_TRY(auto worker,
          VhostWorker::create({.device = device_,
                               .rings = std::make_unique<NetSwitch>(device_, pair.port),
                               .first_queue = pair.first_queue,
                               .features = kernel_features(activation.features, offered_)},
                              std::move(activation)));
  return std::unique_ptr<virtio_device::Worker>(std::move(worker));
}

}  // namespace vmm::vhost_device
