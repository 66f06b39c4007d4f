// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>
#include <array>
#include <cstring>

#include "capability_chain.h"
#include "info_query.h"
#include "uapi.h"
#include "vmm/vfio/device.h"

namespace vmm::vfio {

namespace {

IrqInfo none_of(std::uint32_t index) {
  IrqInfo none;
  none.index = index;
  return none;
}

}  // namespace

// As with regions, EINVAL says that there are none of this kind.
Result<IrqInfo> Device::ask_irq(std::uint32_t index) const {
  vfio_irq_info question{};
  question.index = index;
  auto bytes = query(kernel_, fd(), VMM_IOCTL(VFIO_DEVICE_GET_IRQ_INFO), question);
  if (!bytes && bytes.error().is_os(EINVAL)) return none_of(index);
  if (!bytes) return fail(std::move(bytes).error());
  vfio_irq_info raw{};
  (void)read_object(*bytes, 0, raw);
  return IrqInfo{.index = index,
                 .count = std::min(raw.count, kMaxVectors),
                 .eventfd = (raw.flags & VFIO_IRQ_INFO_EVENTFD) != 0,
                 .maskable = (raw.flags & VFIO_IRQ_INFO_MASKABLE) != 0,
                 .automasked = (raw.flags & VFIO_IRQ_INFO_AUTOMASKED) != 0,
                 .fixed_size = (raw.flags & VFIO_IRQ_INFO_NORESIZE) != 0};
}

const IrqInfo& Device::irq(std::uint32_t index) const {
  static const IrqInfo none;
  return index < irqs_.size() ? irqs_[index] : none;
}

std::uint32_t Device::max_interrupts() const {
  std::uint32_t most = 0;
  for (const IrqInfo& irq : irqs_) most = std::max(most, irq.count);
  return most;
}

Result<const IrqInfo*> Device::check(IrqRange range) const {
  const IrqInfo& info = irq(range.index);
  if (range.count == 0 || range.first >= info.count || range.count > info.count - range.first) {
    return fail(VfioError::kNoInterrupt);
  }
  return &info;
}

Result<void> Device::act(std::uint32_t action, IrqRange range) const {
  const uapi::IrqSetHead request{.argsz = sizeof(request),
                                 .flags = VFIO_IRQ_SET_DATA_NONE | action,
                                 .index = range.index,
                                 .start = range.first,
                                 .count = range.count};
  VMM_TRY_DO(
      kernel_.ioctl(fd(), VMM_IOCTL(VFIO_DEVICE_SET_IRQS), static_cast<const void*>(&request)));
  return {};
}

Result<void> Device::set_fds(std::uint32_t action, IrqRange range,
                             std::span<const std::int32_t> fds) const {
  struct Request {
    uapi::IrqSetHead header;
    std::array<std::int32_t, kMaxVectors> fds{};
  };
  static_assert(sizeof(Request) == sizeof(vfio_irq_set) + kMaxVectors * sizeof(std::int32_t));
  Request request;
  request.header.argsz = static_cast<std::uint32_t>(sizeof(vfio_irq_set) + fds.size_bytes());
  request.header.flags = VFIO_IRQ_SET_DATA_EVENTFD | action;
  request.header.index = range.index;
  request.header.start = range.first;
  request.header.count = range.count;
  std::ranges::copy(fds, request.fds.begin());
  VMM_TRY_DO(
      kernel_.ioctl(fd(), VMM_IOCTL(VFIO_DEVICE_SET_IRQS), static_cast<const void*>(&request)));
  return {};
}

Result<void> Device::set_irqs(std::uint32_t index, std::uint32_t first,
                              std::span<const std::int32_t> fds) const {
  if (fds.empty()) return fail(VfioError::kNoDescriptors);
  if (fds.size() > kMaxVectors) return fail(VfioError::kNoInterrupt);
  const IrqRange range{
      .index = index, .first = first, .count = static_cast<std::uint32_t>(fds.size())};
  VMM_TRY(const IrqInfo* info, check(range));
  if (!info->eventfd) return fail(VfioError::kNoEventfd);
  return set_fds(VFIO_IRQ_SET_ACTION_TRIGGER, range, fds);
}

Result<void> Device::disable_irqs(std::uint32_t index) const {
  if (irq(index).count == 0) return fail(VfioError::kNoInterrupt);
  return act(VFIO_IRQ_SET_ACTION_TRIGGER, {.index = index, .first = 0, .count = 0});
}

Result<void> Device::trigger_irqs(IrqRange range) const {
  VMM_TRY_DO(check(range));
  return act(VFIO_IRQ_SET_ACTION_TRIGGER, range);
}

Result<void> Device::mask_irqs(IrqRange range) const {
  VMM_TRY(const IrqInfo* info, check(range));
  if (!info->maskable) return fail(VfioError::kNotMaskable);
  return act(VFIO_IRQ_SET_ACTION_MASK, range);
}

Result<void> Device::unmask_irqs(IrqRange range) const {
  VMM_TRY(const IrqInfo* info, check(range));
  if (!info->maskable) return fail(VfioError::kNotMaskable);
  return act(VFIO_IRQ_SET_ACTION_UNMASK, range);
}

Result<void> Device::set_unmask_fd(std::uint32_t index, std::uint32_t number,
                                   std::int32_t fd) const {
  const IrqRange range{.index = index, .first = number, .count = 1};
  VMM_TRY(const IrqInfo* info, check(range));
  if (!info->eventfd) return fail(VfioError::kNoEventfd);
  if (!info->maskable) return fail(VfioError::kNotMaskable);
  return set_fds(VFIO_IRQ_SET_ACTION_UNMASK, range, std::span(&fd, 1));
}

}  // namespace vmm::vfio
