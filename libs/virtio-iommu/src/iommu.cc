// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_iommu/iommu.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "domains.h"
#include "fault_log.h"
#include "iommu_worker.h"
#include "layout.h"
#include "vmm/base/checked.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_iommu {
namespace {

bool is_valid(const Iommu::Options& options) {
  return is_power_of_two(options.page_bytes) && options.address_bits >= 32 &&
         options.address_bits <= 64 && options.page_bytes <= last_input(options) &&
         (!options.msi || options.msi->first <= options.msi->last);
}

}  // namespace

Iommu::Iommu(const Options& options, std::shared_ptr<FaultLog> faults)
    : page_bytes_(options.page_bytes),
      input_last_(last_input(options)),
      domain_last_(options.last_domain),
      numbers_(options.numbers),
      faults_(std::move(faults)),
      domains_(std::make_shared<Domains>(options, faults_)) {}

Iommu::~Iommu() = default;

Result<std::shared_ptr<Iommu>> Iommu::create(const Options& options) {
  if (!is_valid(options)) return fail(Error::os(EINVAL, "IOMMU device"));
  VMM_TRY(auto faults, FaultLog::create());
  return std::shared_ptr<Iommu>(new Iommu(options, std::move(faults)));
}

Result<void> Iommu::add_endpoint(std::uint32_t id, std::shared_ptr<Endpoint> endpoint) {
  return domains_->add_endpoint(id, std::move(endpoint));
}

Result<void> Iommu::remove_endpoint(std::uint32_t id) { return domains_->remove_endpoint(id); }

void Iommu::memory_changed() { domains_->memory_changed(); }

void Iommu::retire() { domains_->retire(); }

std::size_t Iommu::mapping_count() const { return domains_->mapping_count(); }

std::uint64_t Iommu::features() const {
  return kFeatureInputRange | kFeatureDomainRange | kFeatureMapUnmap | kFeatureProbe |
         kFeatureMmio | kFeatureBypassConfig | virtio_queue::kFeatureInOrder;
}

std::size_t Iommu::config_bytes() const { return sizeof(Config); }

void Iommu::read_config(std::span<std::byte> config) {
  const Config fields{.page_size_mask = Le64(~(page_bytes_ - 1)),
                      .input_first = Le64(0),
                      .input_last = Le64(input_last_),
                      .domain_first = Le32(0),
                      .domain_last = Le32(domain_last_),
                      .probe_size = Le32(kProbeBytes),
                      .bypass = static_cast<std::uint8_t>(domains_->bypass() ? 1 : 0),
                      .reserved = {}};
  std::memcpy(config.data(), &fields, std::min(sizeof(fields), config.size()));
}

void Iommu::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  constexpr std::uint64_t kAt = offsetof(Config, bypass);
  if (offset > kAt || kAt - offset >= data.size()) return;
  const auto value = std::to_integer<unsigned>(data[static_cast<std::size_t>(kAt - offset)]);
  if (value <= 1) domains_->set_bypass(value == 1);
}

void Iommu::set_features(std::uint64_t features) { domains_->set_features(features); }

Result<virtio_device::WorkerList> Iommu::activate(virtio_device::Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(
      std::make_unique<IommuWorker>(domains_, faults_, numbers_, std::move(activation)));
  return workers;
}

void Iommu::reset() {
  domains_->reset();
  faults_->clear();
}

}  // namespace vmm::virtio_iommu
