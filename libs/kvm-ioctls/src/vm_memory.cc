// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include <bit>
#include <cerrno>

#include "call.h"
#include "uapi_extra.h"
#include "vmm/kvm_ioctls/vm.h"

namespace vmm::kvm_ioctls {

namespace {

std::uint32_t flags_of(const MemoryRegion& region) {
  return (region.log_dirty_pages ? std::uint32_t{KVM_MEM_LOG_DIRTY_PAGES} : 0u) |
         (region.read_only ? std::uint32_t{KVM_MEM_READONLY} : 0u);
}

}  // namespace

Result<void> Vm::set_memory_region(const MemoryRegion& region) const {
  const kvm_userspace_memory_region raw{
      .slot = static_cast<std::uint32_t>(region.slot),
      .flags = flags_of(region),
      .guest_phys_addr = region.address.raw(),
      .memory_size = region.host.size(),
      .userspace_addr = reinterpret_cast<std::uintptr_t>(region.host.data())};
  return call(fd_.get(), VMM_IOCTL(KVM_SET_USER_MEMORY_REGION), &raw);
}

Result<void> Vm::set_memory_region2(const MemoryRegion& region,
                                    const GuestMemfdRange& memfd) const {
  uapi::UserspaceMemoryRegion2 raw{};
  raw.slot = static_cast<std::uint32_t>(region.slot);
  raw.flags = flags_of(region);
  raw.guest_phys_addr = region.address.raw();
  raw.memory_size = region.host.size();
  raw.userspace_addr = reinterpret_cast<std::uintptr_t>(region.host.data());
  if (memfd.fd >= 0) {
    raw.flags |= std::uint32_t{KVM_MEM_GUEST_MEMFD};
    raw.guest_memfd = static_cast<std::uint32_t>(memfd.fd);
    raw.guest_memfd_offset = memfd.offset;
  }
  return call(fd_.get(), VMM_IOCTL(KVM_SET_USER_MEMORY_REGION2), &raw);
}

Result<GuestMemfd> Vm::create_guest_memfd(std::uint64_t bytes, std::uint64_t flags) const {
  uapi::CreateGuestMemfd request{.size = bytes, .flags = flags, .reserved = {}};
  VMM_TRY(const int fd, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_CREATE_GUEST_MEMFD),
                                        static_cast<void*>(&request)));
  return GuestMemfd(UniqueFd(fd), bytes);
}

Result<void> Vm::set_memory_attributes(const MemoryAttributes& attributes) const {
  uapi::MemoryAttributes raw{.address = attributes.address.raw(),
                             .size = attributes.bytes,
                             .attributes = attributes.attributes,
                             .flags = 0};
  return call(fd_.get(), VMM_IOCTL(KVM_SET_MEMORY_ATTRIBUTES), static_cast<void*>(&raw));
}

Result<void> Vm::enable_dirty_ring(std::uint32_t entries) const {
  if (!std::has_single_bit(entries)) return fail(Error::os(EINVAL, "enable the dirty ring"));
  const std::uint64_t bytes = std::uint64_t{entries} * sizeof(kvm_dirty_gfn);
  // The first promises that both sides order their accesses, as DirtyRing does; x86_64 kernels
  // before 6.1 only have the second and order them anyway.
  for (const Cap cap : {Cap::kDirtyLogRingAcqRel, Cap::kDirtyLogRing}) {
    VMM_TRY(const int most, check_extension(cap));
    if (most <= 0) continue;
    if (bytes > static_cast<std::uint64_t>(most)) {
      return fail(Error::os(E2BIG, "enable the dirty ring"));
    }
    EnableCap request{.cap = cap};
    request.args[0] = bytes;
    return enable_cap(request);
  }
  return fail(Error::os(EOPNOTSUPP, "enable the dirty ring"));
}

Result<std::uint32_t> Vm::reset_dirty_rings() const {
  VMM_TRY(const int pages, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_RESET_DIRTY_RINGS)));
  return static_cast<std::uint32_t>(pages);
}

Result<void> Vm::enable_manual_dirty_protect(bool initially_set) const {
  EnableCap request{.cap = Cap::kManualDirtyLogProtect2};
  request.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
                    (initially_set ? std::uint64_t{KVM_DIRTY_LOG_INITIALLY_SET} : 0u);
  return enable_cap(request);
}

namespace {

kvm_coalesced_mmio_zone raw_zone(const Vm::CoalescedZone& zone) {
  kvm_coalesced_mmio_zone raw{};
  raw.addr = zone.address;
  raw.size = zone.bytes;
  raw.pio = zone.pio ? 1 : 0;
  return raw;
}

}  // namespace

Result<void> Vm::register_coalesced(const CoalescedZone& zone) const {
  const kvm_coalesced_mmio_zone raw = raw_zone(zone);
  return call(fd_.get(), VMM_IOCTL(KVM_REGISTER_COALESCED_MMIO), &raw);
}

Result<void> Vm::unregister_coalesced(const CoalescedZone& zone) const {
  const kvm_coalesced_mmio_zone raw = raw_zone(zone);
  return call(fd_.get(), VMM_IOCTL(KVM_UNREGISTER_COALESCED_MMIO), &raw);
}

}  // namespace vmm::kvm_ioctls
