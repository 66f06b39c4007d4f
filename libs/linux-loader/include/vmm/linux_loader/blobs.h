// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/linux_loader/image_source.h"
#include "vmm/linux_loader/load_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::linux_loader {

/// Guest-physical addresses from `start` up to, and without, `end`.
struct GuestRange {
  GuestAddress start;  ///< the first
  GuestAddress end;    ///< behind the last
};

/// Finds a place for an initrd of `bytes` bytes: the highest 4 KiB-aligned address from which it
/// lies in one RAM region, below `limit` and clear of every range in `taken` (the kernel, a
/// device tree). Errors: kEmpty for a size of 0, kNoRoomForInitrd.
Result<GuestAddress> place_initrd(vm_memory::MemoryView memory, std::uint64_t bytes,
                                  GuestAddress limit, std::span<const GuestRange> taken);

/// Loads an initrd at `at`; one or several archives behind each other, contents unchecked.
/// Errors: kEmpty, kInitrdOverlap when it meets a range in `taken`, kOutsideRam, kTruncated;
/// errno values.
Result<GuestRange> load_initrd(vm_memory::MemoryView memory, const ImageSource& source,
                               GuestAddress at, std::span<const GuestRange> taken);

/// Loads a flattened device tree at `at`. Errors: kBadDeviceTree, kDeviceTreeTooLarge (2 MiB, what
/// a guest maps of it), kDeviceTreeAddress, kOutsideRam, kTruncated; errno values.
Result<GuestRange> load_device_tree(vm_memory::MemoryView memory, const ImageSource& source,
                                    GuestAddress at);

/// Loads flat firmware, which begins with its first instruction, at the start of `window` (memory
/// of its own, where a guest has its flash). Contents unchecked. Errors: kEmpty,
/// kFirmwareTooLarge, kOutsideRam, kTruncated; errno values.
Result<GuestRange> load_firmware(vm_memory::MemoryView memory, const ImageSource& source,
                                 GuestRange window);

}  // namespace vmm::linux_loader
