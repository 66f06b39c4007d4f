// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "config.h"
#include "failure.h"
#include "mapped_memory.h"
#include "vmm/base/guest_address.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio_pmem/pmem.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// A file that the guest sees as persistent memory.
struct PmemFile {
  std::shared_ptr<virtio_pmem::Pmem> device;
  UniqueFd file;
  std::uint64_t bytes = 0;
  bool discard_writes = false;  ///< the guest's writes stay with this life of its machine
};

/// Opens the file of --pmem.
Outcome<PmemFile> open_pmem(const PmemConfig& config);

/// Gives each file its addresses: behind RAM, which ends at `ram_end`, and not below 4 GiB. The
/// result is the first address behind all of them, `ram_end` when there are none.
Outcome<GuestAddress> place_pmems(std::span<const PmemFile> pmems, GuestAddress ram_end);

/// Maps the files to where they were placed, as memory of the guest and of its devices.
Outcome<void> map_pmems(std::span<const PmemFile> pmems, vm_memory::GuestMemory& memory,
                        MappedMemory& mapped);

}  // namespace vmm::reference
