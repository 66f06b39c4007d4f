// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "vmm/base/payload.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio_user/device.h"
#include "vmm/vfio_user/dma_space.h"
#include "vmm/vfio_user/interrupts.h"
#include "vmm/vfio_user/migration.h"

namespace vmm::vfio_user {

inline constexpr std::uint64_t kPage = 4096;

/// Its state is a string of bytes.
class TestMigration final : public Migration {
 public:
  explicit TestMigration(std::vector<std::byte>& state) : device_(state) {}

  bool has_pre_copy() const override { return true; }
  Result<std::size_t> save(std::span<std::byte> to) override {
    const std::size_t n = std::min(to.size(), device_.size() - at_);
    std::copy_n(device_.begin() + static_cast<std::ptrdiff_t>(at_), n, to.begin());
    at_ += n;
    return n;
  }
  Result<void> restore(std::span<const std::byte> from) override {
    incoming_.insert(incoming_.end(), from.begin(), from.end());
    return {};
  }

  std::vector<State> steps;
  bool refuses = false;

 protected:
  Result<void> step(State from, State to) override {
    if (refuses) return fail(Error::os(EIO, "test"));
    if (to == State::kPreCopy || (to == State::kStopCopy && from == State::kStop)) at_ = 0;
    if (to == State::kResuming) incoming_.clear();
    if (from == State::kResuming) device_ = incoming_;
    steps.push_back(to);
    return {};
  }

 private:
  std::vector<std::byte>& device_;
  std::vector<std::byte> incoming_;
  std::size_t at_ = 0;
};

/// What a write to region 2 asks the device to do: to move bytes between region 0 and memory.
struct Transfer {
  std::uint64_t iova = 0;
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
  std::uint32_t to_memory = 0;
  std::uint32_t interrupt = 0;  // of MSI-X, when done
};

/// A PCI device: region 0 is memory behind a file (the second half can be mapped), region 2 takes
/// transfers, region 3 can only be read, 7 is configuration space.
class TestDevice final : public Device {
 public:
  static constexpr std::uint64_t kMemory = 4 * kPage;

  vfio::DeviceInfo info() const override {
    return {.kind = vfio::DeviceKind::kPci, .resettable = true, .regions = 9, .interrupts = 5};
  }
  ServedRegion region(std::uint32_t index) const override {
    if (index == 0) {
      return {.bytes = kMemory,
              .readable = true,
              .writable = true,
              .fd = file.fd(),
              .fd_offset = kPage,
              .mappable = {{.offset = 2 * kPage, .bytes = 2 * kPage}},
              .events = {}};
    }
    if (index == 2) {
      ServedRegion region{.bytes = kPage};
      region.events = {{.offset = 0x80, .bytes = 4, .value = 1, .fd = event.fd()},
                       {.offset = 0x84, .bytes = 0, .value = std::nullopt, .fd = event.fd()}};
      return region;
    }
    if (index == 3) return {.bytes = 16, .readable = true, .writable = false};
    return {.bytes = index == vfio::kConfigRegion ? 256u : 0u};
  }
  vfio::IrqInfo irq(std::uint32_t index) const override {
    vfio::IrqInfo info;
    info.index = index;
    info.eventfd = true;
    if (index == 0) {
      info.count = 1;
      info.maskable = true;
      info.automasked = true;
    }
    if (index == 2) info.count = 100;
    return info;
  }
  Result<void> read(std::uint32_t region, std::uint64_t offset,
                    std::span<std::byte> bytes) override {
    if (region == 0) {
      std::copy_n(memory.begin() + static_cast<std::ptrdiff_t>(offset), bytes.size(),
                  bytes.begin());
    } else if (region == vfio::kConfigRegion) {
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(offset + i);
    }
    return {};
  }
  Result<void> write(std::uint32_t region, std::uint64_t offset,
                     std::span<const std::byte> bytes) override {
    ++writes;
    if (region == 0) {
      std::ranges::copy(bytes, memory.begin() + static_cast<std::ptrdiff_t>(offset));
      return {};
    }
    if (region == vfio::kConfigRegion) return fail(Error::os(EPERM, "test"));
    const auto transfer = exactly_as<Transfer>(bytes);
    if (!transfer) return {};
    return move(*transfer);
  }
  Result<void> reset() override {
    ++resets;
    return {};
  }
  void attached(DmaSpace& space, Interrupts& lines) override {
    dma = &space;
    interrupts = &lines;
  }
  void detached() override {
    dma = nullptr;
    interrupts = nullptr;
    ++detachments;
  }
  void dma_added(vfio::DmaSpan) override { ++mappings; }
  void dma_removed(vfio::DmaSpan) override { --mappings; }
  void unmasked(std::uint32_t, std::uint32_t) override { ++unmaskings; }
  Migration* migration() override { return migrates ? &state_machine : nullptr; }

  DmaSpace* dma = nullptr;
  Interrupts* interrupts = nullptr;
  int writes = 0;
  int resets = 0;
  int detachments = 0;
  int mappings = 0;
  int unmaskings = 0;
  bool migrates = true;
  std::vector<std::byte> memory = std::vector<std::byte>(kMemory);
  TestMigration state_machine{memory};
  sys_util::MemFd file = *sys_util::MemFd::create(8 * kPage);
  sys_util::EventFd event = *sys_util::EventFd::create();

 private:
  Result<void> move(const Transfer& transfer) {
    if (transfer.offset > memory.size() || transfer.bytes > memory.size() - transfer.offset) {
      return fail(Error::os(ERANGE, "test"));
    }
    const auto bytes = std::span(memory).subspan(transfer.offset, transfer.bytes);
    if (transfer.to_memory != 0) {
      VMM_TRY_DO(dma->write(transfer.iova, bytes));
    } else {
      VMM_TRY_DO(dma->read(transfer.iova, bytes));
    }
    interrupts->trigger(2, transfer.interrupt);
    return {};
  }
};

}  // namespace vmm::vfio_user
