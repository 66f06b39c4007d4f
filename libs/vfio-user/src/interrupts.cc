// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/interrupts.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "vmm/sys_util/fd_flags.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio_user/user_error.h"

namespace vmm::vfio_user {
namespace {

constexpr std::uint32_t kMaxKinds = 64;
constexpr std::uint32_t kData = IrqSet::kDataNone | IrqSet::kDataBool | IrqSet::kDataFds;
constexpr std::uint32_t kActions = IrqSet::kMask | IrqSet::kUnmask | IrqSet::kTrigger;

/// Adds one to an eventfd. What the client gave may be anything: it never waits, and an error is
/// its own loss.
void signal(const UniqueFd& fd) {
  if (!fd) return;
  const std::uint64_t one = 1;
  (void)!::write(fd.get(), &one, sizeof(one));
}

}  // namespace

Interrupts::Interrupts(Device& device) : device_(device) {
  const std::uint32_t kinds = std::min(device.info().interrupts, kMaxKinds);
  for (std::uint32_t i = 0; i < kinds; ++i) {
    vfio::IrqInfo info = device.irq(i);
    info.count = std::min(info.count, vfio::Device::kMaxVectors);
    kinds_.push_back({.info = info, .lines = std::vector<Line>(info.count)});
  }
}

void Interrupts::trigger(std::uint32_t index, std::uint32_t number) {
  if (index >= kinds_.size() || number >= kinds_[index].lines.size()) return;
  Line& line = kinds_[index].lines[number];
  if (line.masked) {
    line.pending = true;
    return;
  }
  if (!line.trigger) return;
  signal(line.trigger);
  if (!kinds_[index].info.automasked) return;
  line.masked = true;
  signal(line.mask);
}

bool Interrupts::is_enabled(std::uint32_t index, std::uint32_t number) const {
  return index < kinds_.size() && number < kinds_[index].lines.size() &&
         static_cast<bool>(kinds_[index].lines[number].trigger);
}

bool Interrupts::is_masked(std::uint32_t index, std::uint32_t number) const {
  return index < kinds_.size() && number < kinds_[index].lines.size() &&
         kinds_[index].lines[number].masked;
}

Result<void> Interrupts::check(const IrqSet& set, std::size_t bytes, std::size_t fds) const {
  if ((set.flags & ~(kData | kActions)) != 0 || !std::has_single_bit(set.flags & kData) ||
      !std::has_single_bit(set.flags & kActions)) {
    return fail(UserError::kBadFlags);
  }
  if (set.index >= kinds_.size()) return fail(UserError::kBadRange);
  const Kind& kind = kinds_[set.index];
  const std::size_t count = kind.lines.size();
  const bool disables =
      set.count == 0 && set.first == 0 && set.flags == (IrqSet::kDataNone | IrqSet::kTrigger);
  if (!disables && (set.count == 0 || set.first >= count || set.count > count - set.first)) {
    return fail(UserError::kBadRange);
  }
  if ((set.flags & IrqSet::kTrigger) == 0 && !kind.info.maskable) return fail(UserError::kBadFlags);
  if ((set.flags & IrqSet::kDataFds) != 0 && !kind.info.eventfd) return fail(UserError::kBadFlags);
  if (bytes != ((set.flags & IrqSet::kDataBool) != 0 ? set.count : 0)) {
    return fail(UserError::kBadSize);
  }
  const bool takes_fds = (set.flags & IrqSet::kDataFds) != 0;
  if (fds != 0 && (!takes_fds || fds != set.count)) return fail(UserError::kBadFdCount);
  return {};
}

Result<void> Interrupts::set(const IrqSet& set, std::span<const std::byte> data,
                             std::span<UniqueFd> fds) {
  VMM_TRY_DO(check(set, data.size(), fds.size()));
  if (set.count == 0) {
    disable(kinds_[set.index]);
  } else if ((set.flags & IrqSet::kDataFds) != 0) {
    set_fds(set, fds);
  } else {
    for (std::uint32_t i = 0; i < set.count; ++i) {
      const bool wanted = data.empty() || data[i] != std::byte{0};
      if (wanted) act(set, set.first + i);
    }
  }
  return {};
}

// Without descriptors, those of before are taken back.
void Interrupts::set_fds(const IrqSet& set, std::span<UniqueFd> fds) {
  for (std::uint32_t i = 0; i < set.count; ++i) {
    Line& line = kinds_[set.index].lines[set.first + i];
    UniqueFd fd = fds.empty() ? UniqueFd() : std::move(fds[i]);
    if (fd) (void)sys_util::set_nonblocking(fd.get());
    if ((set.flags & IrqSet::kTrigger) != 0) {
      line.trigger = std::move(fd);
    } else {
      ((set.flags & IrqSet::kMask) != 0 ? line.mask : line.unmask) = std::move(fd);
    }
  }
}

void Interrupts::act(const IrqSet& set, std::uint32_t number) {
  Line& line = kinds_[set.index].lines[number];
  if ((set.flags & IrqSet::kTrigger) != 0) {
    trigger(set.index, number);
  } else if ((set.flags & IrqSet::kUnmask) != 0) {
    unmask(set.index, number);
  } else if (!line.masked) {
    line.masked = true;
    signal(line.mask);
  }
}

// What came meanwhile comes now.
void Interrupts::unmask(std::uint32_t index, std::uint32_t number) {
  Line& line = kinds_[index].lines[number];
  if (!std::exchange(line.masked, false)) return;
  signal(line.unmask);
  if (std::exchange(line.pending, false)) trigger(index, number);
  if (!line.masked) device_.unmasked(index, number);
}

void Interrupts::disable(Kind& kind) {
  for (Line& line : kind.lines) line = Line();
}

}  // namespace vmm::vfio_user
