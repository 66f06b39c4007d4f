// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/vcpu.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "call.h"
#include "decode.h"
#include "uapi_extra.h"
#include "vmm/kvm_ioctls/error.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::kvm_ioctls {

namespace {

// KVM asks only whether the byte is zero. Two bits of it let the vCPU's own use and the requests
// of other threads pass each other without a lost wakeup.
constexpr std::uint8_t kByKick = 1;
constexpr std::uint8_t kByOwner = 2;

std::uint8_t* immediate_exit(const sys_util::Mapping& run) {
  return reinterpret_cast<std::uint8_t*>(run.data() + offsetof(kvm_run, immediate_exit));
}

}  // namespace

void VcpuKick::request() const noexcept {
  // Release: what the requester wrote before is seen by the vCPU's thread when it comes out.
  __atomic_fetch_or(immediate_exit(*run_), kByKick, __ATOMIC_RELEASE);
}

void VcpuKick::clear() const noexcept {
  __atomic_fetch_and(immediate_exit(*run_), static_cast<std::uint8_t>(~kByKick), __ATOMIC_ACQUIRE);
}

bool VcpuKick::requested() const noexcept {
  return (__atomic_load_n(immediate_exit(*run_), __ATOMIC_ACQUIRE) & kByKick) != 0;
}

Result<void> VcpuKick::kick(int thread_id, int signal) const {
  request();
  if (::syscall(SYS_tgkill, ::getpid(), thread_id, signal) != 0) {
    return fail(Error::from_errno("tgkill"));
  }
  return {};
}

Result<Vcpu> Vcpu::adopt(Parts parts) {
  if (parts.run.size() < sizeof(kvm_run) || parts.xsave_bytes < sizeof(Xsave)) {
    return fail(Error::os(EINVAL, "adopt a vCPU"));
  }
  return Vcpu(std::move(parts.fd), std::make_shared<sys_util::Mapping>(std::move(parts.run)),
              parts.xsave_bytes);
}

Result<VcpuExit> Vcpu::run() {
  const int answer = sys_util::detail::raw_ioctl(fd_.get(), KVM_RUN, 0);
  if (answer < 0) [[unlikely]]
    return decode_failed_run(page_, -answer);
  return decode_exit(page_);
}

Result<std::optional<VcpuExit>> Vcpu::complete_pending_io() {
  std::uint8_t* flag = immediate_exit(*run_);
  __atomic_fetch_or(flag, kByOwner, __ATOMIC_RELAXED);
  const int answer = sys_util::detail::raw_ioctl(fd_.get(), KVM_RUN, 0);
  __atomic_fetch_and(flag, static_cast<std::uint8_t>(~kByOwner), __ATOMIC_RELAXED);
  if (answer >= 0) {
    VMM_TRY(const VcpuExit exit, decode_exit(page_));
    return std::optional<VcpuExit>(exit);
  }
  VMM_TRY(const VcpuExit exit, decode_failed_run(page_, -answer));
  if (std::holds_alternative<exits::Interrupted>(exit)) return std::optional<VcpuExit>();
  return std::optional<VcpuExit>(exit);
}

void Vcpu::set_immediate_exit(bool on) noexcept {
  std::uint8_t* flag = immediate_exit(*run_);
  if (on) {
    __atomic_fetch_or(flag, kByKick, __ATOMIC_RELAXED);
  } else {
    __atomic_fetch_and(flag, static_cast<std::uint8_t>(~kByKick), __ATOMIC_RELAXED);
  }
}

Result<void> Vcpu::enable_cap(const EnableCap& cap) const {
  return call(fd_.get(), VMM_IOCTL(KVM_ENABLE_CAP), &cap);
}

Result<MpState> Vcpu::mp_state() const {
  VMM_TRY(const auto state, read<kvm_mp_state>(fd_.get(), VMM_IOCTL(KVM_GET_MP_STATE)));
  return static_cast<MpState>(state.mp_state);
}

Result<void> Vcpu::set_mp_state(MpState state) const {
  const kvm_mp_state raw{.mp_state = static_cast<std::uint32_t>(state)};
  return call(fd_.get(), VMM_IOCTL(KVM_SET_MP_STATE), &raw);
}

Result<void> Vcpu::set_signal_mask(std::optional<std::uint64_t> blocked) const {
  if (!blocked) return call(fd_.get(), VMM_IOCTL(KVM_SET_SIGNAL_MASK));
  // struct kvm_signal_mask: the length of the kernel's sigset, then the set.
  struct {
    std::uint32_t length;
    std::uint8_t set[8];
  } mask{.length = sizeof(mask.set), .set = {}};
  std::memcpy(mask.set, &*blocked, sizeof(mask.set));
  return call(fd_.get(), VMM_IOCTL(KVM_SET_SIGNAL_MASK), static_cast<const void*>(&mask));
}

Result<StatsFd> Vcpu::stats() const {
  VMM_TRY(const int fd, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_STATS_FD)));
  return StatsFd::adopt(UniqueFd(fd));
}

Result<CoalescedRing> Vcpu::map_coalesced_ring() const {
  // KVM counts the ring's page into the size of the vCPU's mapping when there is a ring.
  const std::size_t page = sys_util::page_size();
  const std::size_t offset = std::size_t{KVM_COALESCED_MMIO_PAGE_OFFSET} * page;
  if (page_.size() < offset + page) {
    return fail(Error::os(EOPNOTSUPP, "map the coalesced ring"));
  }
  VMM_TRY(auto mapping, sys_util::Mapping::create(page, {.protection = PROT_READ | PROT_WRITE,
                                                         .flags = MAP_SHARED,
                                                         .fd = fd_.get(),
                                                         .offset = offset}));
  return CoalescedRing(std::move(mapping));
}

Result<DirtyRing> Vcpu::map_dirty_ring(std::uint32_t entries) const {
  if (!std::has_single_bit(entries)) return fail(Error::os(EINVAL, "map the dirty ring"));
  constexpr std::uint64_t kRingPage = 64;  // KVM_DIRTY_LOG_PAGE_OFFSET where there is a ring
  VMM_TRY(auto mapping, sys_util::Mapping::create(std::size_t{entries} * sizeof(kvm_dirty_gfn),
                                                  {.protection = PROT_READ | PROT_WRITE,
                                                   .flags = MAP_SHARED,
                                                   .fd = fd_.get(),
                                                   .offset = kRingPage * sys_util::page_size()}));
  return DirtyRing(std::move(mapping), entries);
}

Result<std::uint64_t> Vcpu::pre_fault(const GuestRange& range) const {
  uapi::PreFaultMemory request{
      .gpa = range.address.raw(), .size = range.bytes, .flags = 0, .padding = {}};
  VMM_TRY_DO(call(fd_.get(), VMM_IOCTL(KVM_PRE_FAULT_MEMORY), static_cast<void*>(&request)));
  return request.size;
}

Result<void> Vcpu::memory_encrypt_op(void* command) const {
  return call(fd_.get(), VMM_IOCTL(KVM_MEMORY_ENCRYPT_OP), command);
}

}  // namespace vmm::kvm_ioctls
