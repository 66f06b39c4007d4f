// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <cerrno>

#include "scripted_state.h"

namespace vmm::vfio::testing {
namespace {

struct HeaderOnly {
  vfio_info_cap_header header;
};

}  // namespace

int ScriptedKernel::State::on_device(Slot& slot, unsigned long number, std::uintptr_t argument) {
  switch (number) {
    case VFIO_DEVICE_GET_INFO: {
      vfio_device_info raw{};
      raw.argsz = sizeof(raw);
      if (slot.device.resettable) raw.flags |= VFIO_DEVICE_FLAGS_RESET;
      if (slot.device.kind == DeviceKind::kPci) raw.flags |= VFIO_DEVICE_FLAGS_PCI;
      if (slot.device.kind == DeviceKind::kPlatform) raw.flags |= VFIO_DEVICE_FLAGS_PLATFORM;
      raw.num_regions = static_cast<std::uint32_t>(slot.device.regions.size());
      raw.num_irqs = static_cast<std::uint32_t>(slot.device.irqs.size());
      answer(argument, std::as_bytes(std::span(&raw, 1)));
      return 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO:
      return region_info(slot, argument);
    case VFIO_DEVICE_GET_IRQ_INFO:
      return irq_info(slot, argument);
    case VFIO_DEVICE_SET_IRQS: {
      const auto* bytes = reinterpret_cast<const std::byte*>(argument);
      arguments["VFIO_DEVICE_SET_IRQS"] = {bytes, bytes + at<uapi::IrqSetHead>(argument).argsz};
      return set_irqs(slot, argument);
    }
    case VFIO_DEVICE_RESET:
      return slot.device.resettable ? 0 : -EINVAL;
    case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
      return hot_reset_info(slot, argument);
    case VFIO_DEVICE_PCI_HOT_RESET: {
      const auto* bytes = reinterpret_cast<const std::byte*>(argument);
      arguments["VFIO_DEVICE_PCI_HOT_RESET"] = {bytes, bytes + at<std::uint32_t>(argument)};
      return 0;
    }
    case VFIO_DEVICE_IOEVENTFD:
      return 0;
    case VFIO_DEVICE_FEATURE:
      return feature(slot, argument);
    case uapi::kVfioBindIommufd:
      at<uapi::VfioBind>(argument).device_id = next_id++;
      return 0;
    case uapi::kVfioAttachIommufd: {
      const std::uint32_t table = at<uapi::VfioAttach>(argument).page_table;
      return table == kSpaceId || tables.contains(table) ? 0 : -ENOENT;
    }
    default:
      return -ENOTTY;
  }
}

int ScriptedKernel::State::region_info(const Slot& slot, std::uintptr_t argument) {
  const std::uint32_t index = at<vfio_region_info>(argument).index;
  if (index >= slot.device.regions.size()) return -EINVAL;
  const ScriptedRegion& region = slot.device.regions[index];
  if (!region.raw.empty()) {
    answer(argument, region.raw);
    return 0;
  }
  if (region.bytes == 0) return -EINVAL;
  Bytes bytes;
  bytes.add(vfio_region_info{});
  Chain chain(bytes, offsetof(vfio_region_info, cap_offset));
  if (region.msix_mappable) chain.add(HeaderOnly{}, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
  if (region.type) {
    chain.add(
        vfio_region_info_cap_type{
            .header = {}, .type = region.type->type, .subtype = region.type->subtype},
        VFIO_REGION_INFO_CAP_TYPE);
  }
  if (!region.areas.empty()) {
    struct Sparse {
      vfio_info_cap_header header;
      std::uint32_t count;
      std::uint32_t reserved;
    };
    chain.add(
        Sparse{
            .header = {}, .count = static_cast<std::uint32_t>(region.areas.size()), .reserved = 0},
        VFIO_REGION_INFO_CAP_SPARSE_MMAP);
    for (const RegionArea& area : region.areas) bytes.add(area);
  }
  vfio_region_info head{};
  std::memcpy(&head, bytes.get().data(), sizeof(head));
  head.argsz = bytes.size();
  head.index = index;
  head.size = region.bytes;
  head.offset = index * kRegionStride;
  if (region.readable) head.flags |= VFIO_REGION_INFO_FLAG_READ;
  if (region.writable) head.flags |= VFIO_REGION_INFO_FLAG_WRITE;
  if (region.mappable) head.flags |= VFIO_REGION_INFO_FLAG_MMAP;
  if (head.cap_offset != 0) head.flags |= VFIO_REGION_INFO_FLAG_CAPS;
  bytes.set(0, head);
  answer(argument, bytes.get());
  return 0;
}

int ScriptedKernel::State::irq_info(const Slot& slot, std::uintptr_t argument) {
  auto& raw = at<vfio_irq_info>(argument);
  if (raw.index >= slot.device.irqs.size()) return -EINVAL;
  const ScriptedIrq& irq = slot.device.irqs[raw.index];
  if (irq.count == 0) return -EINVAL;
  raw.count = irq.count;
  raw.flags = (irq.eventfd ? VFIO_IRQ_INFO_EVENTFD : 0u) |
              (irq.maskable ? VFIO_IRQ_INFO_MASKABLE : 0u) |
              (irq.automasked ? VFIO_IRQ_INFO_AUTOMASKED : 0u) |
              (irq.fixed_size ? VFIO_IRQ_INFO_NORESIZE : 0u);
  return 0;
}

int ScriptedKernel::State::set_irqs(Slot& slot, std::uintptr_t argument) {
  const auto head = at<uapi::IrqSetHead>(argument);
  if (head.index >= slot.device.irqs.size()) return -EINVAL;
  const bool of_trigger = (head.flags & VFIO_IRQ_SET_ACTION_TRIGGER) != 0;
  if (of_trigger && (head.flags & VFIO_IRQ_SET_DATA_NONE) != 0 && head.count == 0) {
    slot.irqs.erase(head.index);
  }
  if (!of_trigger || (head.flags & VFIO_IRQ_SET_DATA_EVENTFD) == 0) return 0;
  if (head.argsz != sizeof(head) + head.count * sizeof(std::int32_t)) return -EINVAL;
  std::vector<int>& fds = slot.irqs[head.index];
  if (slot.device.irqs[head.index].fixed_size && !fds.empty() &&
      head.start + head.count > fds.size()) {
    return -EINVAL;
  }
  fds.resize(std::max<std::size_t>(fds.size(), head.start + head.count), -1);
  std::memcpy(fds.data() + head.start, reinterpret_cast<const void*>(argument + sizeof(head)),
              head.count * sizeof(std::int32_t));
  return 0;
}

int ScriptedKernel::State::hot_reset_info(const Slot& slot, std::uintptr_t argument) {
  if (slot.device.neighbours.empty()) return -ENODEV;
  uapi::HotResetHead head;
  std::memcpy(&head, reinterpret_cast<const void*>(argument), sizeof(head));
  const std::size_t room = head.argsz;
  head.count = static_cast<std::uint32_t>(slot.device.neighbours.size());
  head.flags = slot.device.owns_neighbours ? uapi::kHotResetOwned : 0;
  const std::size_t needed = sizeof(head) + head.count * sizeof(vfio_pci_dependent_device);
  std::memcpy(reinterpret_cast<void*>(argument), &head, sizeof(head));
  if (room < needed) return -ENOSPC;
  std::size_t where = sizeof(head);
  for (const ResetNeighbour& neighbour : slot.device.neighbours) {
    vfio_pci_dependent_device raw{};
    raw.group_id = neighbour.id;
    raw.segment = neighbour.segment;
    raw.bus = neighbour.bus;
    raw.devfn = neighbour.device_function;
    std::memcpy(reinterpret_cast<void*>(argument + where), &raw, sizeof(raw));
    where += sizeof(raw);
  }
  return 0;
}

int ScriptedKernel::State::feature(Slot& slot, std::uintptr_t argument) {
  const auto head = at<uapi::FeatureHead>(argument);
  const auto number = static_cast<std::uint16_t>(head.flags & VFIO_DEVICE_FEATURE_MASK);
  const auto found = slot.device.features.find(number);
  if (found == slot.device.features.end()) return -ENOTTY;
  if ((head.flags & VFIO_DEVICE_FEATURE_PROBE) != 0) return 0;
  std::vector<std::byte>& data = found->second;
  if (head.argsz < sizeof(head) + data.size()) return -EINVAL;
  auto* bytes = reinterpret_cast<std::byte*>(argument + sizeof(head));
  if (number == VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT) {
    const auto& report = at<vfio_device_feature_dma_logging_report>(argument + sizeof(head));
    fill(report.iova, report.length, report.page_size,
         reinterpret_cast<std::uint64_t*>(report.bitmap));
    return 0;
  }
  if ((head.flags & VFIO_DEVICE_FEATURE_GET) != 0) {
    std::ranges::copy(data, bytes);
    return 0;
  }
  std::copy_n(bytes, data.size(), data.begin());
  if (number != VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE) return 0;
  auto& state = at<vfio_device_feature_mig_state>(argument + sizeof(head));
  const bool transfers = state.device_state == VFIO_DEVICE_STATE_STOP_COPY ||
                         state.device_state == VFIO_DEVICE_STATE_RESUMING ||
                         state.device_state > VFIO_DEVICE_STATE_RUNNING_P2P;
  state.data_fd = transfers ? give(new_file(), Kind::kState, 0).release() : -1;
  return 0;
}

}  // namespace vmm::vfio::testing
