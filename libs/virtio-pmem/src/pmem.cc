// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_pmem/pmem.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "pmem_worker.h"
#include "vmm/base/endian.h"

namespace vmm::virtio_pmem {
namespace {

/// The configuration space: 5.19.4.
struct Config {
  Le64 start;
  Le64 size;
};
static_assert(sizeof(Config) == 16);

}  // namespace

Result<std::shared_ptr<Pmem>> Pmem::create(std::unique_ptr<Flusher> flusher) {
  if (flusher == nullptr) return fail(Error::os(EINVAL, "persistent memory without a flusher"));
  return std::shared_ptr<Pmem>(new Pmem(std::move(flusher)));
}

void Pmem::place(const AddressRange& range) {
  const MutexLock lock(mutex_);
  range_ = range;
}

AddressRange Pmem::range() const {
  const MutexLock lock(mutex_);
  return range_;
}

std::uint64_t Pmem::features() const {
  return virtio_queue::kFeatureInOrder | virtio_queue::kFeatureRingReset;
}

std::size_t Pmem::config_bytes() const { return sizeof(Config); }

void Pmem::read_config(std::span<std::byte> config) {
  Config fields{};
  const AddressRange place = range();
  fields.start = Le64(place.base.raw());
  fields.size = Le64(place.size);
  std::memcpy(config.data(), &fields, std::min(sizeof(fields), config.size()));
}

Result<virtio_device::WorkerList> Pmem::activate(virtio_device::Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<PmemWorker>(*flusher_, std::move(activation)));
  return workers;
}

}  // namespace vmm::virtio_pmem
