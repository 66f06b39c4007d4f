// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "config.h"
#include "failure.h"
#include "vmm/base/address_range.h"
#include "vmm/base/guest_address.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/virtio_pmem/pmem.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// A file that the guest sees as persistent memory.
struct PmemFile {
  std::string id;  ///< the device's
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
                        kvm_board::MappedMemory& mapped);

/// One file, placed.
Outcome<std::shared_ptr<const vm_memory::Region>> map_pmem(const PmemFile& pmem,
                                                           vm_memory::GuestMemory& memory,
                                                           kvm_board::MappedMemory& mapped);

/// Takes a file that KVM does not map any more out of guest memory: when this returns, nothing that
/// the guest makes this process or the kernel do leads to the file.
void unplug_pmem(const PmemFile& pmem, vm_memory::GuestMemory& memory);

/// The lowest place in `window` for a file that comes while the guest runs, beside all that is in
/// `memory`. Failures: there is none.
Outcome<GuestAddress> find_place(std::uint64_t bytes, const AddressRange& window,
                                 const vm_memory::GuestMemory& memory);

}  // namespace vmm::reference
