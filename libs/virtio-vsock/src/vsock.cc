// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_vsock/vsock.h"

#include <cerrno>
#include <utility>

#include "vmm/base/endian.h"
#include "vsock_core.h"
#include "vsock_worker.h"

namespace vmm::virtio_vsock {
namespace {

constexpr std::uint64_t kLastCid = 0xffff'fffe;

bool makes_sense(const Vsock::Options& options) {
  const Limits& limits = options.limits;
  return options.cid > kHostCid && options.cid <= kLastCid && limits.connections != 0 &&
         limits.clients != 0 && limits.buffer_bytes != 0 && limits.small_buffer_bytes != 0;
}

}  // namespace

Vsock::Vsock(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Vsock::~Vsock() = default;

Result<std::shared_ptr<Vsock>> Vsock::create(const Options& options) {
  if (!makes_sense(options)) return fail(Error::os(EINVAL, "virtio vsock"));
  VMM_TRY(auto event, sys_util::EventFd::create());
  VMM_TRY(auto host, HostSocket::listen(options.socket));
  auto core = std::make_shared<Core>(Core{.cid = options.cid,
                                          .limits = options.limits,
                                          .host = std::move(host),
                                          .transport_reset = std::move(event)});
  return std::shared_ptr<Vsock>(new Vsock(std::move(core)));
}

void Vsock::transport_reset() { (void)core_->transport_reset.add(); }

void Vsock::read_config(std::span<std::byte> config) {
  if (config.size() >= sizeof(core_->cid)) store_le(config.data(), core_->cid);
}

Result<virtio_device::WorkerList> Vsock::activate(virtio_device::Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<VsockWorker>(core_, std::move(activation)));
  return workers;
}

void Vsock::reset() { (void)core_->transport_reset.take(); }

}  // namespace vmm::virtio_vsock
