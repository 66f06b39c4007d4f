// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/blobs.h"

#include <algorithm>
#include <array>
#include <bit>

#include "ram.h"
#include "vmm/base/checked.h"
#include "vmm/base/endian.h"

namespace vmm::linux_loader {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMaxDeviceTree = std::uint64_t{2} << 20;
constexpr std::uint64_t kDeviceTreeAlignment = 8;
constexpr std::uint32_t kDeviceTreeMagic = 0xd00dfeed;
constexpr std::size_t kDeviceTreeHeader = 40;

bool overlap(const GuestRange& a, const GuestRange& b) {
  return std::max(a.start, b.start) < std::min(a.end, b.end);  // never, when one is empty
}

/// The highest place in [low, high) for `bytes` bytes that is clear of `taken`.
std::optional<GuestAddress> place_in(std::uint64_t low, std::uint64_t high, std::uint64_t bytes,
                                     std::span<const GuestRange> taken) {
  // Each round lowers `high` to the start of a range that is not met again.
  for (;;) {
    if (high < low || high - low < bytes) return std::nullopt;
    const std::uint64_t at = align_down(high - bytes, kPage);
    if (at < low) return std::nullopt;
    const GuestRange candidate{GuestAddress(at), GuestAddress(at + bytes)};
    const auto met = std::find_if(taken.begin(), taken.end(), [&](const GuestRange& range) {
      return overlap(candidate, range);
    });
    if (met == taken.end()) return candidate.start;
    high = met->start.raw();
  }
}

}  // namespace

Result<GuestAddress> place_initrd(vm_memory::MemoryView memory, std::uint64_t bytes,
                                  GuestAddress limit, std::span<const GuestRange> taken) {
  if (bytes == 0) return fail(LoadError::kEmpty);
  const auto regions = memory.regions();
  for (auto region = regions.rbegin(); region != regions.rend(); ++region) {
    const std::uint64_t low = region->base.raw();
    const std::uint64_t high = std::min(low + region->host.size(), limit.raw());
    if (const auto at = place_in(low, high, bytes, taken)) return *at;
  }
  return fail(LoadError::kNoRoomForInitrd);
}

Result<GuestRange> load_initrd(vm_memory::MemoryView memory, const ImageSource& source,
                               GuestAddress at, std::span<const GuestRange> taken) {
  if (source.size() == 0) return fail(LoadError::kEmpty);
  const auto end = at.checked_add(source.size());
  if (!end) return fail(LoadError::kOutsideRam);
  const GuestRange range{at, *end};
  for (const GuestRange& other : taken) {
    if (overlap(range, other)) return fail(LoadError::kInitrdOverlap);
  }
  VMM_TRY_DO(source.load(0, source.size(), memory, at));
  return range;
}

Result<GuestRange> load_device_tree(vm_memory::MemoryView memory, const ImageSource& source,
                                    GuestAddress at) {
  if (!at.is_aligned(kDeviceTreeAlignment)) return fail(LoadError::kDeviceTreeAddress);
  if (source.size() > kMaxDeviceTree) return fail(LoadError::kDeviceTreeTooLarge);
  if (source.size() < kDeviceTreeHeader) return fail(LoadError::kBadDeviceTree);
  std::array<std::byte, 8> scratch;
  VMM_TRY(const auto head, source.peek(0, scratch));
  const auto magic = detail::byte_swap(load_le<std::uint32_t>(head.data()));
  const auto bytes = detail::byte_swap(load_le<std::uint32_t>(head.data() + 4));
  if (magic != kDeviceTreeMagic || bytes < kDeviceTreeHeader || bytes > source.size()) {
    return fail(LoadError::kBadDeviceTree);
  }
  const auto end = at.checked_add(bytes);
  if (!end) return fail(LoadError::kOutsideRam);
  VMM_TRY_DO(source.load(0, bytes, memory, at));
  return GuestRange{at, *end};
}

Result<GuestRange> load_firmware(vm_memory::MemoryView memory, const ImageSource& source,
                                 GuestRange window) {
  if (source.size() == 0) return fail(LoadError::kEmpty);
  const std::uint64_t room = window.end.offset_from(window.start).value_or(0);
  if (source.size() > room) return fail(LoadError::kFirmwareTooLarge);
  VMM_TRY_DO(source.load(0, source.size(), memory, window.start));
  return GuestRange{window.start, GuestAddress(window.start.raw() + source.size())};
}

}  // namespace vmm::linux_loader
