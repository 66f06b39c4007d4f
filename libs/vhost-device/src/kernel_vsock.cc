// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_device/kernel_vsock.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vhost_worker.h"
#include "vmm/base/endian.h"
#include "vmm/base/log.h"
#include "vmm/virtio_device/features.h"

namespace vmm::vhost_device {
namespace {

using vhost::Vsock;

// Streams, messages, no streams unless asked for: 5.10.3.
constexpr std::uint64_t kSocketFeatures = 7;

/// Both rings start at once, when both are there.
class VsockSwitch final : public RingSwitch {
 public:
  explicit VsockSwitch(const Vsock& device) : device_(device) {}

  Result<void> start(std::uint32_t ring) override {
    ready_[ring] = true;
    if (!ready_[Vsock::kReceiveRing] || !ready_[Vsock::kTransmitRing]) return {};
    return device_.set_running(true);
  }
  Result<void> stop(std::uint32_t ring) override {
    if (!ready_[ring]) return {};
    ready_[ring] = false;
    return device_.set_running(false);
  }

 private:
  const Vsock& device_;
  std::array<bool, Vsock::kRings> ready_{};
};

}  // namespace

Result<Vsock> KernelVsock::open(const Options& options) {
  if (!options.opener) return open_here(options);
  std::optional<Result<Vsock>> device;
  options.opener([&] { device.emplace(open_here(options)); });
  return *std::move(device);
}

Result<Vsock> KernelVsock::open_here(const Options& options) {
  VMM_TRY(auto device, Vsock::open(options.path.c_str()));
  VMM_TRY_DO(device.set_owner());
  VMM_TRY_DO(device.set_guest_cid(options.cid));
  return device;
}

Result<std::shared_ptr<KernelVsock>> KernelVsock::create(Options options) {
  VMM_TRY(auto device, open(options));
  VMM_TRY(const std::uint64_t offered, device.features());
  if ((offered & virtio_device::kFeatureVersion1) == 0) {
    return fail(Error::os(ENOTSUP, "vhost-vsock: VIRTIO_F_VERSION_1"));
  }
  return std::shared_ptr<KernelVsock>(
      new KernelVsock(std::move(options), std::move(device), offered));
}

std::uint64_t KernelVsock::features() const { return offered_ & kSocketFeatures; }

std::uint64_t KernelVsock::queue_features() const { return vhost_device::queue_features(offered_); }

void KernelVsock::read_config(std::span<std::byte> config) {
  if (config.size() >= sizeof(options_.cid)) store_le(config.data(), options_.cid);
}

// The event queue stays with its buffers: the kernel has no events for it.
Result<virtio_device::WorkerList> KernelVsock::activate(virtio_device::Activation activation) {
  if (!device_) {
    VMM_TRY(device_, open(options_));
  }
  std::erase_if(activation.queues, [](const auto& queue) { return queue.index >= Vsock::kRings; });
  const std::uint64_t features = kernel_features(activation.features, offered_);
  VMM_TRY(auto worker, VhostWorker::create({.device = *device_,
                                            .rings = std::make_unique<VsockSwitch>(*device_),
                                            .first_queue = 0,
                                            .features = features},
                                           std::move(activation)));
  virtio_device::WorkerList workers;
  workers.push_back(std::move(worker));
  return workers;
}

// Only the end of a device makes the kernel end its connections, of which the next driver knows
// nothing. The CID is free until the new device has it.
void KernelVsock::reset() {
  device_.reset();
  auto device = open(options_);
  if (device) {
    device_ = std::move(*device);
  } else {
    VMM_LOG_GUEST(kError, "vhost-vsock, CID %llu: %s",
                  static_cast<unsigned long long>(options_.cid), to_string(device.error()).c_str());
  }
}

}  // namespace vmm::vhost_device
