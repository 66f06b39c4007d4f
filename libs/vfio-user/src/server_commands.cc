// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What a client asks about a device and does to it.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "request_parts.h"
#include "vmm/base/checked.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio_user/migration.h"
#include "vmm/vfio_user/server_session.h"

namespace vmm::vfio_user {
namespace {

void append(std::vector<std::byte>& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

std::uint32_t flags_of(const ServedRegion& region) {
  if (region.bytes == 0) return 0;
  return (region.readable ? RegionInfo::kRead : 0) | (region.writable ? RegionInfo::kWrite : 0) |
         (region.fd >= 0 ? RegionInfo::kMap : 0);
}

/// The capability that lists what can be mapped; nothing when that is all of the region.
std::vector<std::byte> capabilities_of(const ServedRegion& region) {
  std::vector<std::byte> bytes;
  if (region.fd < 0 || region.mappable.empty()) return bytes;
  const SparseAreas head{.count = static_cast<std::uint32_t>(region.mappable.size())};
  append(bytes, bytes_of(head));
  for (const vfio::RegionArea& area : region.mappable) append(bytes, bytes_of(area));
  return bytes;
}

/// Events as entries, and their descriptors, each once. Those beyond what the client takes at once
/// are left out: it writes them the other way.
struct EventList {
  std::vector<RegionIoFd> entries;
  std::vector<int> fds;

  void add(const ServedEvent& event, std::size_t most_fds) {
    auto at = std::ranges::find(fds, event.fd);
    if (at == fds.end()) {
      if (fds.size() >= most_fds) return;
      fds.push_back(event.fd);
      at = fds.end() - 1;
    }
    entries.push_back({.offset = event.offset,
                       .bytes = event.bytes,
                       .fd_index = static_cast<std::uint32_t>(at - fds.begin()),
                       .type = RegionIoFd::kIoEventFd,
                       .flags = event.value ? RegionIoFd::kDataMatch : 0,
                       .padding = 0,
                       .value = event.value.value_or(0)});
  }
};

}  // namespace

Result<void> ServerSession::get_info(const Request& request) {
  VMM_TRY(const auto question, whole_of<DeviceInfo>(request));
  if (question.argsz < sizeof(DeviceInfo)) return fail(UserError::kBadSize);
  const vfio::DeviceInfo info = device_.info();
  const DeviceInfo answer{.argsz = sizeof(DeviceInfo),
                          .flags = (info.resettable ? DeviceInfo::kReset : 0) |
                                   (info.kind == vfio::DeviceKind::kPci ? DeviceInfo::kPci : 0),
                          .regions = info.regions,
                          .interrupts = info.interrupts};
  return channel_.reply(request.header, body_of(answer));
}

Result<void> ServerSession::get_region_info(const Request& request) {
  VMM_TRY(const auto question, whole_of<RegionInfo>(request));
  if (question.argsz < sizeof(RegionInfo)) return fail(UserError::kBadSize);
  if (question.index >= device_.info().regions) return fail(UserError::kBadRange);
  ServedRegion region = device_.region(question.index);
  if (client_.max_msg_fds == 0 || region.bytes == 0) region.fd = -1;
  std::vector<std::byte> capabilities = capabilities_of(region);
  RegionInfo answer{.argsz = static_cast<std::uint32_t>(sizeof(RegionInfo) + capabilities.size()),
                    .flags = flags_of(region),
                    .index = question.index,
                    .capabilities = 0,
                    .bytes = region.bytes,
                    .offset = region.fd >= 0 ? region.fd_offset : 0};
  if (!capabilities.empty()) answer.flags |= RegionInfo::kCapabilities;
  // Without room for them, the client learns how much it needs.
  if (question.argsz < answer.argsz) capabilities.clear();
  if (!capabilities.empty()) answer.capabilities = sizeof(RegionInfo);
  return channel_.reply(
      request.header, body_of(answer, capabilities, std::span(&region.fd, region.fd >= 0 ? 1 : 0)));
}

Result<void> ServerSession::get_region_io_fds(const Request& request) {
  VMM_TRY(const auto question, whole_of<RegionIoFds>(request));
  if (question.argsz < sizeof(RegionIoFds)) return fail(UserError::kBadSize);
  if (question.flags != 0 || question.count != 0) return fail(UserError::kBadFlags);
  if (question.index >= device_.info().regions) return fail(UserError::kBadRange);
  EventList list;
  for (const ServedEvent& event : device_.region(question.index).events) {
    list.add(event, std::min<std::size_t>(client_.max_msg_fds, kMaxFds));
  }
  const auto bytes = std::as_bytes(std::span(list.entries));
  RegionIoFds answer{.argsz = static_cast<std::uint32_t>(sizeof(RegionIoFds) + bytes.size()),
                     .flags = 0,
                     .index = question.index,
                     .count = static_cast<std::uint32_t>(list.entries.size())};
  if (question.argsz < answer.argsz) {
    answer.count = 0;
    return channel_.reply(request.header, body_of(answer));
  }
  return channel_.reply(request.header, body_of(answer, bytes, list.fds));
}

Result<void> ServerSession::get_irq_info(const Request& request) {
  VMM_TRY(const auto question, whole_of<IrqInfo>(request));
  if (question.argsz < sizeof(IrqInfo)) return fail(UserError::kBadSize);
  if (question.index >= device_.info().interrupts) return fail(UserError::kBadRange);
  const vfio::IrqInfo info = device_.irq(question.index);
  const IrqInfo answer{.argsz = sizeof(IrqInfo),
                       .flags = (info.eventfd ? IrqInfo::kEventFd : 0) |
                                (info.maskable ? IrqInfo::kMaskable : 0) |
                                (info.automasked ? IrqInfo::kAutomasked : 0) |
                                (info.fixed_size ? IrqInfo::kNoResize : 0),
                       .index = question.index,
                       .count = std::min(info.count, vfio::Device::kMaxVectors)};
  return channel_.reply(request.header, body_of(answer));
}

Result<void> ServerSession::set_irqs(const Request& request) {
  const auto set = front_as<IrqSet>(request.payload);
  if (!set || set->argsz < sizeof(IrqSet)) return fail(UserError::kBadSize);
  VMM_TRY_DO(interrupts_->set(*set, request.payload.subspan(sizeof(IrqSet)), request.fds));
  return channel_.reply(request.header, {});
}

Result<void> ServerSession::check_access(std::uint32_t region, std::uint64_t offset,
                                         std::uint64_t bytes, bool writes) const {
  if (region >= device_.info().regions || bytes > kMaxData || bytes == 0) {
    return fail(UserError::kBadRange);
  }
  const ServedRegion served = device_.region(region);
  if (!fits(offset, bytes, served.bytes)) return fail(UserError::kBadRange);
  if (!(writes ? served.writable : served.readable)) {
    return fail(Error::os(EPERM, "access a region"));
  }
  return {};
}

Result<void> ServerSession::read_region(const Request& request) {
  VMM_TRY(const auto access, whole_of<RegionAccess>(request));
  VMM_TRY_DO(check_access(access.region, access.offset, access.count, false));
  std::vector<std::byte> data(access.count);
  VMM_TRY_DO(device_.read(access.region, access.offset, data));
  return channel_.reply(request.header, body_of(access, data));
}

Result<void> ServerSession::write_region(const Request& request) {
  VMM_TRY(const auto parts, parts_of<RegionAccess>(request));
  const RegionAccess& access = parts.fixed;
  if (parts.data.size() != access.count) return fail(UserError::kBadSize);
  VMM_TRY_DO(check_access(access.region, access.offset, access.count, true));
  VMM_TRY_DO(device_.write(access.region, access.offset, parts.data));
  return channel_.reply(request.header, body_of(access));
}

// As far as it goes; the answer says how far.
Result<void> ServerSession::write_many(const Request& request) {
  VMM_TRY(const auto parts, parts_of<std::uint64_t>(request));
  if (parts.fixed > kMaxSmallWrites || parts.data.size() != parts.fixed * sizeof(SmallWrite)) {
    return fail(UserError::kBadSize);
  }
  std::uint64_t done = 0;
  for (; done < parts.fixed; ++done) {
    const auto one = *front_as<SmallWrite>(parts.data.subspan(done * sizeof(SmallWrite)));
    if (one.count > one.data.size() || !check_access(one.region, one.offset, one.count, true)) {
      break;
    }
    const auto data = std::span<const std::byte>(one.data).first(one.count);
    if (!device_.write(one.region, one.offset, data)) break;
  }
  return channel_.reply(request.header, body_of(done));
}

Result<void> ServerSession::reset(const Request& request) {
  if (!request.payload.empty() || !request.fds.empty()) return fail(UserError::kBadSize);
  if (!device_.info().resettable) return fail(Error::os(ENOTSUP, "reset a device"));
  VMM_TRY_DO(device_.reset());
  if (Migration* const migration = device_.migration()) migration->back_to_running();
  return channel_.reply(request.header, {});
}

}  // namespace vmm::vfio_user
