// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm_ioctls/cap.h"
#include "vmm/kvm_ioctls/device.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/kvm_ioctls/x86_state.h"

namespace vmm::kvm_ioctls {

/// /dev/kvm: what the host can do, and the place where VMs come from.
///
/// Errors of every function: the errno of the ioctl, with its name (EBADF on a descriptor that is
/// none). Thread-safety: all const functions may be called from any thread.
class System {
 public:
  /// How open() opens.
  struct OpenOptions {
    const char* path = "/dev/kvm";  ///< borrowed for the call
    bool close_on_exec = true;      ///< O_CLOEXEC
  };

  /// Opens for reading and writing. Errors: the errno of open(2); KvmError::kApiVersion.
  static Result<System> open(const OpenOptions& options);
  /// Opens /dev/kvm with O_CLOEXEC. Errors: as above.
  static Result<System> open() { return open(OpenOptions{}); }
  /// Takes over a descriptor that another process opened; nothing is checked.
  static System adopt(UniqueFd fd) { return {std::move(fd), 0}; }

  /// 12 on every kernel since 2.6.22.
  [[nodiscard]] Result<int> api_version() const;
  /// 0: absent; 1: present; other positive numbers: see the capability's description.
  [[nodiscard]] Result<int> check_extension(Cap cap) const;
  /// The same by number; an unknown one is 0.
  [[nodiscard]] Result<int> check_extension_raw(std::uintptr_t number) const;
  /// Whether the capability is there; an error counts as absence.
  [[nodiscard]] bool has(Cap cap) const;

  /// Bytes that a vCPU maps: the run page and what follows it.
  [[nodiscard]] Result<std::size_t> vcpu_mmap_bytes() const;
  /// The recommended number of vCPUs of a VM; 4 when KVM does not say.
  [[nodiscard]] std::uint32_t nr_vcpus() const;
  /// The largest possible number of vCPUs of a VM; nr_vcpus() when KVM does not say.
  [[nodiscard]] std::uint32_t max_vcpus() const;
  /// One above the largest vCPU id; max_vcpus() when KVM does not say.
  [[nodiscard]] std::uint32_t max_vcpu_id() const;
  /// The number of memory slots of a VM; 32 when KVM does not say.
  [[nodiscard]] std::uint32_t nr_memslots() const;

  /// Creates a VM. `type` is 0 for the usual kind (on aarch64: with the host's largest
  /// intermediate physical address), or one of KVM's types of the architecture.
  [[nodiscard]] Result<Vm> create_vm(std::uint64_t type = 0) const;
  /// Takes over a VM's descriptor.
  [[nodiscard]] Result<Vm> adopt_vm(UniqueFd fd) const;

#if defined(__x86_64__)
  /// What KVM can show to a guest, at most `max_entries` entries.
  ///
  /// Errors: ENOMEM when `max_entries` is above CpuidList::kCapacity (checked here); E2BIG when
  /// KVM has more.
  [[nodiscard]] Result<CpuidList> supported_cpuid(std::size_t max_entries = 256) const;
  /// What KVM emulates although the processor lacks it. Errors: as for supported_cpuid().
  [[nodiscard]] Result<CpuidList> emulated_cpuid(std::size_t max_entries = 256) const;
  /// Hyper-V's leaves. Errors: as for supported_cpuid(); needs Cap::kSysHypervCpuid.
  [[nodiscard]] Result<CpuidList> supported_hyperv_cpuid(std::size_t max_entries = 256) const;
  /// The MSRs that a snapshot saves.
  [[nodiscard]] Result<std::vector<std::uint32_t>> msr_indices() const;
  /// The MSRs that describe features (see get_feature_msrs()).
  [[nodiscard]] Result<std::vector<std::uint32_t>> feature_msr_indices() const;
  /// Fills in feature MSRs; answers how many, from the front.
  [[nodiscard]] Result<std::size_t> get_feature_msrs(MsrList& msrs) const;
  /// Bits: the machine-check capabilities (MCG_CAP) that a vCPU may be given.
  [[nodiscard]] Result<std::uint64_t> supported_mce() const;
  /// An attribute of the system; see Device::get_attr().
  [[nodiscard]] Result<void> get_attr(const DeviceAttr& attr) const;
  /// Whether the system has the attribute; an error counts as absence.
  [[nodiscard]] bool has_attr(const DeviceAttr& attr) const;
#elif defined(__aarch64__)
  /// Bits of the largest guest-physical address; 0 when KVM only knows the default of 40.
  [[nodiscard]] std::uint32_t host_ipa_limit() const;
  /// A VM with this many bits of guest-physical address: 32 to host_ipa_limit(). Fewer make for
  /// fewer levels of page tables. Errors: EINVAL for other numbers.
  [[nodiscard]] Result<Vm> create_vm_with_ipa_bits(std::uint32_t bits) const;
#endif

  /// Borrowed: valid as long as this object lives.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  System(UniqueFd fd, std::size_t run_bytes) : fd_(std::move(fd)), run_bytes_(run_bytes) {}

  UniqueFd fd_;
  std::size_t run_bytes_;  // of a vCPU's mapping; 0 when not known yet
};

}  // namespace vmm::kvm_ioctls
