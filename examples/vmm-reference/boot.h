// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config.h"
#include "failure.h"
#include "vmm/linux_loader/blobs.h"
#include "vmm/linux_loader/cmdline.h"
#include "vmm/linux_loader/kernel.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

using linux_loader::GuestRange;

/// Guest memory with what is to run in it.
struct GuestImage {
  vm_memory::GuestMemory memory;
  linux_loader::LoadedKernel kernel;  ///< of firmware, only its entry
  GuestRange initrd;                  ///< empty: none
  linux_loader::Cmdline cmdline;      ///< checked, and short enough for the kernel
  // The user's device tree and overlay, as they are in the files; empty: none.
  std::vector<std::byte> dtb{};
  std::vector<std::byte> dtb_overlay{};
};

/// Where an architecture wants things to be.
struct BootPlan {
  linux_loader::Arch arch;
  std::span<const GuestRange> ram;
  std::optional<GuestAddress> kernel_base;  ///< nullopt: as the kernel says
  GuestAddress kernel_floor;                ///< entry points below it are refused
  GuestAddress initrd_limit;
  std::size_t cmdline_bytes;  ///< longest command line, with the NUL
  /// Where flat firmware has memory of its own, besides `ram`; nullopt: firmware is what a kernel
  /// is, an ELF file with a PVH entry.
  std::optional<GuestRange> firmware{};
};

/// Makes the RAM that --memory asks for and loads kernel and initramfs, or firmware. Needs no KVM,
/// so that a wrong file is reported as such on every host.
Outcome<GuestImage> load_image(const VmConfig& config, const BootPlan& plan);

/// How a range of guest memory is made, by --memory.
[[nodiscard]] vm_memory::RegionConfig region_config(const MemoryConfig& config,
                                                    const GuestRange& range);

}  // namespace vmm::reference
