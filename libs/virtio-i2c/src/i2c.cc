// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/i2c.h"

#include <cerrno>
#include <set>
#include <utility>

#include "i2c_worker.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_i2c {

Result<std::shared_ptr<I2c>> I2c::create(std::vector<Bus> buses) {
  const auto bad = [](const char* what) { return fail(Error::os(EINVAL, what)); };
  std::set<Address> seen;
  for (const Bus& bus : buses) {
    if (bus.adapter == nullptr) return bad("virtio I2C: a bus without an adapter");
    for (const Address& address : bus.addresses) {
      if (!address.is_valid()) return bad("virtio I2C: an address that there is not");
      if (!seen.insert(address).second) return bad("virtio I2C: an address twice");
    }
  }
  if (seen.empty()) return bad("virtio I2C: no address");
  return std::shared_ptr<I2c>(new I2c(std::move(buses)));
}

std::uint64_t I2c::features() const {
  return kFeatureZeroLengthRequest | virtio_queue::kFeatureInOrder |
         virtio_queue::kFeatureRingReset;
}

bool I2c::accepts(std::uint64_t features) const {
  return (features & kFeatureZeroLengthRequest) != 0;
}

Result<virtio_device::WorkerList> I2c::activate(virtio_device::Activation activation) {
  if (!accepts(activation.features)) {
    return fail(Error::os(EPROTO, "virtio I2C driver without ZERO_LENGTH_REQUEST"));
  }
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<I2cWorker>(buses_, std::move(activation)));
  return workers;
}

}  // namespace vmm::virtio_i2c
