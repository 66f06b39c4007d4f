// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What is around the controller of nvme_fuzz.cc: a disk, and memory with guards around it.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "fuzz_input.h"
#include "nvme_spec.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/sys_util/mem_fd.h"

namespace vmm::nvme_fuzz {

using nvme::kPage;

inline constexpr std::byte kGuard{0x5a};

inline constexpr std::uint64_t kDiskBlocks = 128;
inline constexpr std::uint64_t kTailBytes = 100;  // behind the last block

/// A file of pages with a guard page before and behind it.
class Memory {
 public:
  explicit Memory(std::uint64_t pages) : pages_(pages) {
    std::ranges::fill(bytes(), kGuard);
    std::ranges::fill(inside(), std::byte{0});
  }
  [[nodiscard]] int fd() const { return file_.fd(); }
  [[nodiscard]] std::span<std::byte> inside() const {
    return bytes().subspan(kPage, static_cast<std::size_t>(pages_ * kPage));
  }
  [[nodiscard]] bool guards_are_whole() const {
    const auto is_guard = [](std::byte b) { return b == kGuard; };
    return std::ranges::all_of(bytes().first(kPage), is_guard) &&
           std::ranges::all_of(bytes().last(kPage), is_guard);
  }

 private:
  [[nodiscard]] std::span<std::byte> bytes() const {
    return {mapping_.data(), static_cast<std::size_t>((pages_ + 2) * kPage)};
  }

  std::uint64_t pages_;
  sys_util::MemFd file_ = *sys_util::MemFd::create((pages_ + 2) * kPage);
  sys_util::Mapping mapping_ = *sys_util::Mapping::create(
      (pages_ + 2) * kPage,
      {.protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = file_.fd()});
};

/// Blocks, and a tail that belongs to none.
class Disk {
 public:
  Disk() {
    std::vector<std::byte> content(kBytes, std::byte{0xd1});
    require(sys_util::pwrite_all(file_.get(), content, 0).has_value());
  }
  [[nodiscard]] UniqueFd open() const { return UniqueFd(::dup(file_.get())); }
  void check() const {
    struct stat about = {};
    require(::fstat(file_.get(), &about) == 0 &&
            static_cast<std::uint64_t>(about.st_size) == kBytes);
    std::array<std::byte, kTailBytes> tail{};
    require(sys_util::pread_exact(file_.get(), tail, kDiskBlocks * 512).has_value());
    require(std::ranges::all_of(tail, [](std::byte b) { return b == std::byte{0xd1}; }));
  }
  [[nodiscard]] std::array<std::byte, 512> block(std::uint64_t number) const {
    std::array<std::byte, 512> bytes{};
    require(sys_util::pread_exact(file_.get(), bytes, number * 512).has_value());
    return bytes;
  }
  static constexpr std::uint64_t kBytes = kDiskBlocks * 512 + kTailBytes;

 private:
  UniqueFd file_{::memfd_create("disk", MFD_CLOEXEC)};  // may grow, unlike a sys_util::MemFd
};

}  // namespace vmm::nvme_fuzz
