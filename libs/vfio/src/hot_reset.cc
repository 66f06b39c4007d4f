// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <cerrno>
#include <cstring>
#include <vector>

#include "capability_chain.h"
#include "uapi.h"
#include "vmm/vfio/device.h"

namespace vmm::vfio {
namespace {

constexpr std::uint32_t kMaxNeighbours = 1024;

template <class Header>
std::vector<std::byte> request_with_room(std::size_t more) {
  std::vector<std::byte> bytes(sizeof(Header) + more);
  Header header{};
  header.argsz = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

}  // namespace

// The first answer says how many there are; ENOSPC is the kernel's word for it. There may be more
// by the second time, which is an error then.
Result<Device::HotReset> Device::ask_hot_reset() const {
  constexpr auto kRequest = VMM_IOCTL(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO);
  uapi::HotResetHead header;
  header.argsz = sizeof(header);
  const auto counted = kernel_.ioctl(fd(), kRequest, static_cast<void*>(&header));
  if (!counted && !counted.error().is_os(ENOSPC)) return fail(counted.error());
  if (header.count > kMaxNeighbours) return fail(VfioError::kTooLarge);

  auto bytes =
      request_with_room<uapi::HotResetHead>(header.count * sizeof(vfio_pci_dependent_device));
  VMM_TRY_DO(kernel_.ioctl(fd(), kRequest, static_cast<void*>(bytes.data())));
  (void)read_object(bytes, 0, header);
  HotReset reset{.flags = header.flags, .neighbours = {}};
  for (std::uint32_t i = 0; i < header.count; ++i) {
    vfio_pci_dependent_device raw{};
    if (!read_object(bytes, sizeof(header) + i * sizeof(raw), raw)) {
      return fail(VfioError::kShortInfo);
    }
    reset.neighbours.push_back(
        {.id = raw.group_id, .segment = raw.segment, .bus = raw.bus, .device_function = raw.devfn});
  }
  return reset;
}

Result<std::vector<ResetNeighbour>> Device::hot_reset_neighbours() const {
  VMM_TRY(auto reset, ask_hot_reset());
  return std::move(reset.neighbours);
}

Result<void> Device::hot_reset() const {
  VMM_TRY(const auto reset, ask_hot_reset());
  std::vector<std::int32_t> proof;
  if (attachment_ != nullptr) {
    VMM_TRY(proof, attachment_->prove(reset.neighbours, reset.flags));
  }
  auto bytes = request_with_room<uapi::HotResetHead>(proof.size() * sizeof(std::int32_t));
  const auto count = static_cast<std::uint32_t>(proof.size());
  std::memcpy(bytes.data() + offsetof(vfio_pci_hot_reset, count), &count, sizeof(count));
  if (count != 0) {
    std::memcpy(bytes.data() + sizeof(vfio_pci_hot_reset), proof.data(),
                proof.size() * sizeof(std::int32_t));
  }
  VMM_TRY_DO(kernel_.ioctl(fd(), VMM_IOCTL(VFIO_DEVICE_PCI_HOT_RESET),
                           static_cast<const void*>(bytes.data())));
  return {};
}

}  // namespace vmm::vfio
