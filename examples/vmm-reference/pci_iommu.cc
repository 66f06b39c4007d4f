// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pci_iommu.h"

#include <algorithm>
#include <utility>

#include "iommu_options.h"
#include "opener.h"
#include "vmm/pci/segment.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::reference {
namespace {

constexpr const char* kName = "__iommu";
constexpr std::uint32_t kRequesters = 256;  // of a bus

}  // namespace

Outcome<std::unique_ptr<PciIommu>> PciIommu::create(const VmConfig& config,
                                                    const vm_memory::GuestMemory& memory,
                                                    std::optional<AddressRange> msi) {
  if (!has_iommu(config)) return std::unique_ptr<PciIommu>();
  auto numbers = std::make_shared<BusNumbers>();
  virtio_iommu::Iommu::Options options{.memory = memory,
                                       .page_bytes = sys_util::page_size(),
                                       .address_bits = config.iommu_address_bits,
                                       .numbers = numbers};
  if (msi) {
    options.msi = virtio_iommu::ReservedRange{
        .first = msi->base.raw(), .last = msi->base.raw() + (msi->size - 1), .msi = true};
  }
  VMM_STEP("iommu", auto device, virtio_iommu::Iommu::create(options));
  std::unique_ptr<PciIommu> iommu(new PciIommu(config, std::move(numbers), std::move(device)));
  iommu->slot_.id = kName;
  iommu->slot_.device = iommu->device_;
  iommu->slot_.stays = true;
  VMM_TRY(auto thread, opening([] { return IoThread::create(ThreadKind::kDevice, kName); }));
  iommu->slot_.threads.push_back(std::move(thread));
  return iommu;
}

Outcome<void> PciIommu::add(const std::string& name, const Place& place,
                            std::shared_ptr<virtio_iommu::Endpoint> endpoint) {
  const pci::FunctionAddress& address = place.address;
  const bool known = place.behind_port ? has_all_of(address.segment) : was_told(address);
  if (told_ && !known) {
    return fail(runtime(name +
                        ": iommu: guests learn at their start who is behind the IOMMU: devices "
                        "come to a segment of iommu_segments, or to where one was"));
  }
  VMM_STEP_DO(name + ": iommu",
              device_->add_endpoint(BusNumbers::endpoint_at(address), std::move(endpoint)));
  behind_.push_back(place);
  return {};
}

void PciIommu::remove(const pci::FunctionAddress& address) {
  const auto is_it = [&](const Place& place) { return place.address == address; };
  if (std::erase_if(behind_, is_it) == 0) return;
  (void)device_->remove_endpoint(BusNumbers::endpoint_at(address));  // it is there
}

std::uint64_t PciIommu::last_address() const {
  return UINT64_MAX >> (64 - config_.iommu_address_bits);
}

bool PciIommu::has_all_of(std::uint16_t segment) const {
  return std::ranges::count(config_.iommu_segments, segment) != 0;
}

bool PciIommu::was_told(const pci::FunctionAddress& address) const {
  return told_ && std::ranges::any_of(*told_, [&](const Range& range) {
           return range.segment == address.segment && range.first <= address.devfn() &&
                  address.devfn() <= range.last;
         });
}

const std::vector<PciIommu::Range>& PciIommu::tell(std::span<const std::uint32_t> buses) {
  std::vector<Range> ranges;
  // The host bridge, in slot 0, does no DMA, nor do ports, with which nothing comes to root buses.
  for (const std::uint16_t segment : config_.iommu_segments) {
    const std::uint32_t last = buses.empty() ? kRequesters - 1 : buses[segment] * kRequesters - 1;
    const std::uint32_t first = buses.empty() ? pci::Segment::kFunctions : kRequesters;
    if (last < first) continue;
    ranges.push_back({.segment = segment,
                      .first = static_cast<std::uint16_t>(first),
                      .last = static_cast<std::uint16_t>(last)});
  }
  for (const auto& [address, behind_port] : behind_) {
    if (behind_port || (buses.empty() && has_all_of(address.segment))) continue;
    ranges.push_back(
        {.segment = address.segment, .first = address.devfn(), .last = address.devfn()});
  }
  std::ranges::sort(ranges, [](const Range& a, const Range& b) {
    return a.first_endpoint() < b.first_endpoint();
  });
  return told_.emplace(std::move(ranges));
}

}  // namespace vmm::reference
