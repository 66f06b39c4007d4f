// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "capability_chain.h"
#include "info_query.h"
#include "uapi.h"

namespace vmm::vfio {
namespace {

// More than any device has; what the kernel says is bounded by it.
constexpr std::uint32_t kMaxRegions = 256;
constexpr std::uint32_t kMaxIrqKinds = 64;

DeviceKind kind_of(std::uint32_t flags) {
  if ((flags & VFIO_DEVICE_FLAGS_PCI) != 0) return DeviceKind::kPci;
  if ((flags & (VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_AMBA)) != 0) {
    return DeviceKind::kPlatform;
  }
  return DeviceKind::kOther;
}

bool covers(const RegionArea& outer, const RegionArea& inner) {
  return inner.offset >= outer.offset && inner.bytes <= outer.bytes &&
         inner.offset - outer.offset <= outer.bytes - inner.bytes;
}

}  // namespace

Result<std::unique_ptr<Device>> Device::create(Kernel& kernel, UniqueFd fd,
                                               std::shared_ptr<const Attachment> attachment) {
  std::unique_ptr<Device> device(new Device(kernel, std::move(fd), std::move(attachment)));
  VMM_TRY_DO(device->ask());
  return device;
}

Result<void> Device::ask() {
  VMM_TRY(const auto bytes,
          query(kernel_, fd(), VMM_IOCTL(VFIO_DEVICE_GET_INFO), vfio_device_info{}));
  vfio_device_info raw{};
  (void)read_object(bytes, 0, raw);
  info_ = {.kind = kind_of(raw.flags),
           .resettable = (raw.flags & VFIO_DEVICE_FLAGS_RESET) != 0,
           .regions = raw.num_regions,
           .interrupts = raw.num_irqs};
  if (info_.regions > kMaxRegions || info_.interrupts > kMaxIrqKinds) {
    return fail(VfioError::kInfoTooLarge);
  }
  for (std::uint32_t i = 0; i < info_.regions; ++i) {
    VMM_TRY(auto region, ask_region(i));
    regions_.push_back(std::move(region));
  }
  for (std::uint32_t i = 0; i < info_.interrupts; ++i) {
    VMM_TRY(const auto irq, ask_irq(i));
    irqs_.push_back(irq);
  }
  return {};
}

// The kernel answers EINVAL for regions that this device does not have, as for its VGA.
Result<RegionInfo> Device::ask_region(std::uint32_t index) const {
  vfio_region_info question{};
  question.index = index;
  auto bytes = query(kernel_, fd(), VMM_IOCTL(VFIO_DEVICE_GET_REGION_INFO), question);
  if (!bytes && bytes.error().is_os(EINVAL)) {
    RegionInfo none;
    none.index = index;
    return none;
  }
  if (!bytes) return fail(std::move(bytes).error());
  VMM_TRY(auto info, parse_region_info(*bytes));
  info.index = index;
  return info;
}

const RegionInfo& Device::region(std::uint32_t index) const {
  static const RegionInfo none;
  return index < regions_.size() ? regions_[index] : none;
}

Result<const RegionInfo*> Device::check(std::uint32_t region, RegionArea area) const {
  const RegionInfo& info = this->region(region);
  if (info.bytes == 0) return fail(VfioError::kNoRegion);
  if (!covers({.offset = 0, .bytes = info.bytes}, area)) return fail(VfioError::kOutsideRegion);
  return &info;
}

Result<void> Device::read(std::uint32_t region, std::uint64_t offset,
                          std::span<std::byte> bytes) const {
  VMM_TRY(const RegionInfo* info, check(region, {.offset = offset, .bytes = bytes.size()}));
  if (!info->readable) return fail(VfioError::kNotReadable);
  const auto done = kernel_.read(fd(), bytes, info->file_offset + offset);
  if (!done && done.error().is_os(ENODATA)) return fail(Error::os(EIO, "read a device's region"));
  return done;
}

Result<void> Device::write(std::uint32_t region, std::uint64_t offset,
                           std::span<const std::byte> bytes) const {
  VMM_TRY(const RegionInfo* info, check(region, {.offset = offset, .bytes = bytes.size()}));
  if (!info->writable) return fail(VfioError::kNotWritable);
  return kernel_.write(fd(), bytes, info->file_offset + offset);
}

Result<sys_util::Mapping> Device::map(std::uint32_t region, RegionArea area) const {
  VMM_TRY(const RegionInfo* info, check(region, area));
  const bool mappable = std::ranges::any_of(
      info->mappable, [&](const RegionArea& whole) { return covers(whole, area); });
  if (!mappable || area.bytes == 0) return fail(VfioError::kNotMappable);
  return kernel_.map(fd(), area.bytes,
                     (info->readable ? PROT_READ : 0) | (info->writable ? PROT_WRITE : 0),
                     info->file_offset + area.offset);
}

Result<void> Device::set_ioeventfd(std::uint32_t region, RegionArea area, std::uint64_t value,
                                   std::int32_t fd) const {
  VMM_TRY(const RegionInfo* info, check(region, area));
  if (area.bytes > 8 || !std::has_single_bit(area.bytes)) {
    return fail(Error::os(EINVAL, "VFIO_DEVICE_IOEVENTFD"));
  }
  const vfio_device_ioeventfd request{.argsz = sizeof(request),
                                      .flags = static_cast<std::uint32_t>(area.bytes),
                                      .offset = info->file_offset + area.offset,
                                      .data = value,
                                      .fd = fd};
  VMM_TRY_DO(kernel_.ioctl(fd_.get(), VMM_IOCTL(VFIO_DEVICE_IOEVENTFD),
                           static_cast<const void*>(&request)));
  return {};
}

Result<void> Device::reset() const {
  if (!info_.resettable) return fail(VfioError::kNoReset);
  VMM_TRY_DO(kernel_.ioctl(fd(), VMM_IOCTL(VFIO_DEVICE_RESET), std::uintptr_t{0}));
  return {};
}

}  // namespace vmm::vfio
