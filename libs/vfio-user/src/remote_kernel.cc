// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/remote_kernel.h"

#include <linux/vfio.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "caller_structure.h"
#include "vmm/sys_util/file_mapping.h"

namespace vmm::vfio_user {
namespace {

// Where regions are in the descriptor, as vfio-pci has it.
constexpr unsigned kRegionShift = 40;
constexpr std::uint64_t kOffsetMask = (std::uint64_t{1} << kRegionShift) - 1;

Error no_such_thing(const char* what) { return Error::os(ENOTSUP, what); }

/// Puts as many bytes of an answer as the caller has room for.
void give(std::uintptr_t argument, std::span<const std::byte> answer, std::uint32_t room) {
  std::memcpy(reinterpret_cast<void*>(argument), answer.data(),
              std::min<std::size_t>(answer.size(), room));
}

}  // namespace

Result<UniqueFd> RemoteKernel::open(const std::string&) {
  return fail(no_such_thing("open a path of a vfio-user server"));
}
Result<std::string> RemoteKernel::resolve(const std::string&) {
  return fail(no_such_thing("resolve a path of a vfio-user server"));
}
Result<std::vector<std::string>> RemoteKernel::list(const std::string&) {
  return fail(no_such_thing("list a folder of a vfio-user server"));
}

Result<int> RemoteKernel::ioctl(int, sys_util::IoctlRequest request, std::uintptr_t argument) {
  const auto done = [&]() -> Result<void> {
    switch (request.number) {
      case VFIO_DEVICE_GET_INFO:
        return get_info(argument);
      case VFIO_DEVICE_GET_REGION_INFO:
        return get_region_info(argument);
      case VFIO_DEVICE_GET_IRQ_INFO:
        return get_irq_info(argument);
      case VFIO_DEVICE_SET_IRQS:
        return set_irqs(argument);
      case VFIO_DEVICE_RESET:
        return client_->reset();
      case VFIO_DEVICE_FEATURE:
        return feature(argument);
      default:
        return fail(Error::os(ENOTTY, request.name));
    }
  }();
  if (!done) return fail(done.error());
  return 0;
}

Result<void> RemoteKernel::get_info(std::uintptr_t argument) {
  VMM_TRY(DeviceInfo info, client_->device_info());
  info.argsz = sizeof(info);
  give(argument, bytes_of(info), copy_of<std::uint32_t>(argument));
  return {};
}

// What is not to be mapped is said to be so: without a file, or beyond its end.
Result<RemoteKernel::Region*> RemoteKernel::region(std::uint32_t index) {
  const auto known = regions_.find(index);
  if (known != regions_.end()) return &known->second;
  VMM_TRY(RegionAnswer answer, client_->region_info(index));
  RegionInfo info = *front_as<RegionInfo>(answer.info);
  Region region{.info = {}, .file = std::move(answer.file), .file_offset = info.offset};
  if ((info.flags & RegionInfo::kMap) != 0 &&
      (!region.file ||
       !sys_util::check_file_range(region.file.get(), info.offset, info.bytes).has_value())) {
    info.flags &= ~RegionInfo::kMap;
  }
  if (info.bytes > kOffsetMask || index >> (64 - kRegionShift) != 0) {
    return fail(UserError::kBadRange);
  }
  info.offset = std::uint64_t{index} << kRegionShift;
  info.argsz = static_cast<std::uint32_t>(answer.info.size());
  std::ranges::copy(bytes_of(info), answer.info.begin());
  region.info = std::move(answer.info);
  return &regions_.emplace(index, std::move(region)).first->second;
}

// As the kernel: without room for the capabilities it says how much they need.
Result<void> RemoteKernel::get_region_info(std::uintptr_t argument) {
  const auto question = copy_of<RegionInfo>(argument);
  const MutexLock lock(lock_);
  VMM_TRY(const Region* const found, region(question.index));
  if (question.argsz >= found->info.size()) {
    give(argument, found->info, question.argsz);
    return {};
  }
  RegionInfo info = *front_as<RegionInfo>(found->info);
  info.capabilities = 0;
  give(argument, bytes_of(info), question.argsz);
  return {};
}

Result<void> RemoteKernel::get_irq_info(std::uintptr_t argument) {
  const auto question = copy_of<IrqInfo>(argument);
  VMM_TRY(IrqInfo info, client_->irq_info(question.index));
  info.argsz = sizeof(info);
  give(argument, bytes_of(info), question.argsz);
  return {};
}

Result<void> RemoteKernel::set_irqs(std::uintptr_t argument) {
  const auto set = copy_of<IrqSet>(argument);
  const IrqAction action{
      .flags = set.flags, .index = set.index, .first = set.first, .count = set.count};
  const auto* const data = reinterpret_cast<const std::byte*>(argument) + sizeof(IrqSet);
  if ((set.flags & IrqSet::kDataBool) != 0) {
    return client_->set_irqs(action, std::span(data, set.count), {});
  }
  if ((set.flags & IrqSet::kDataFds) == 0) {
    auto done = client_->set_irqs(action, {}, {});
    if (set.count == 0) forget_unmask_fd(set.index);  // whether or not the server is there
    return done;
  }
  std::vector<std::int32_t> fds(set.count);
  if (!fds.empty()) std::memcpy(fds.data(), data, fds.size() * sizeof(fds[0]));
  if ((set.flags & IrqSet::kTrigger) != 0) return set_irq_fds(action, fds);
  // The kernel would listen to these; servers would signal them.
  const bool is_one = (set.flags & IrqSet::kUnmask) != 0 && set.first == 0 && fds.size() == 1;
  if (!is_one || unmask_hook_ == nullptr) return fail(no_such_thing("VFIO_DEVICE_SET_IRQS"));
  return set_unmask_fd(action, fds[0]);
}

Result<void> RemoteKernel::set_unmask_fd(const IrqAction& action, std::int32_t fd) {
  VMM_TRY_DO(unmask_hook_(client_, action.index, fd));
  const MutexLock lock(lock_);
  if (fd < 0) {
    unmasked_by_fd_.erase(action.index);
  } else {
    unmasked_by_fd_.insert(action.index);
  }
  return {};
}

// As the kernel does when a kind of interrupts is turned off.
void RemoteKernel::forget_unmask_fd(std::uint32_t index) {
  {
    const MutexLock lock(lock_);
    if (unmasked_by_fd_.erase(index) == 0) return;
  }
  (void)unmask_hook_(client_, index, -1);
}

// Descriptors in as many messages as the server needs, and gaps between them in others.
Result<void> RemoteKernel::set_irq_fds(const IrqAction& action, std::span<const std::int32_t> fds) {
  const std::size_t most = std::clamp<std::size_t>(client_->server().max_msg_fds, 1, kMaxFds);
  for (std::size_t i = 0; i < fds.size();) {
    const bool gap = fds[i] < 0;
    std::size_t end = i + 1;
    while (end < fds.size() && (fds[end] < 0) == gap && (gap || end - i < most)) ++end;
    IrqAction part = action;
    part.first = action.first + static_cast<std::uint32_t>(i);
    part.count = static_cast<std::uint32_t>(end - i);
    VMM_TRY_DO(client_->set_irqs(part, {}, gap ? std::span<const int>() : fds.subspan(i, end - i)));
    i = end;
  }
  return {};
}

Result<void> RemoteKernel::read(int, std::span<std::byte> bytes, std::uint64_t offset) {
  return client_->read_region(static_cast<std::uint32_t>(offset >> kRegionShift),
                              offset & kOffsetMask, bytes);
}

Result<void> RemoteKernel::write(int, std::span<const std::byte> bytes, std::uint64_t offset) {
  return client_->write_region(static_cast<std::uint32_t>(offset >> kRegionShift),
                               offset & kOffsetMask, bytes);
}

Result<sys_util::Mapping> RemoteKernel::map(int, std::size_t bytes, int protection,
                                            std::uint64_t offset) {
  const MutexLock lock(lock_);
  VMM_TRY(const Region* const found, region(static_cast<std::uint32_t>(offset >> kRegionShift)));
  const std::uint64_t in_region = offset & kOffsetMask;
  const auto info = *front_as<RegionInfo>(found->info);
  if ((info.flags & RegionInfo::kMap) == 0) return fail(Error::os(ENODEV, "map a region"));
  if (in_region > info.bytes || bytes > info.bytes - in_region) {
    return fail(Error::os(EINVAL, "map a region"));
  }
  const std::uint64_t from = found->file_offset + in_region;
  if (sys_util::has_huge_pages(found->file.get())) {
    // The kernel would map more than was asked for, and the caller could not unmap it.
    VMM_TRY(const auto page, sys_util::check_file_range(found->file.get(), from, bytes));
    if ((from | bytes) % page != 0) return fail(Error::os(ENODEV, "map a region"));
  }
  return sys_util::Mapping::create(
      bytes,
      {.protection = protection, .flags = MAP_SHARED, .fd = found->file.get(), .offset = from});
}

}  // namespace vmm::vfio_user
