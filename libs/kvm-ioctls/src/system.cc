// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/system.h"

#include <fcntl.h>

#include <cerrno>

#include "call.h"
#include "uapi_extra.h"
#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {

Result<System> System::open(const OpenOptions& options) {
  UniqueFd fd(::open(options.path, O_RDWR | (options.close_on_exec ? O_CLOEXEC : 0)));
  if (!fd) return fail(Error::from_errno("open the KVM device"));
  System system(std::move(fd), 0);
  VMM_TRY(const int version, system.api_version());
  if (version != KVM_API_VERSION) return fail(KvmError::kApiVersion);
  VMM_TRY(system.run_bytes_, system.vcpu_mmap_bytes());
  return system;
}

Result<int> System::api_version() const {
  return sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_API_VERSION));
}

Result<int> System::check_extension(Cap cap) const {
  return check_extension_raw(static_cast<std::uintptr_t>(cap));
}

Result<int> System::check_extension_raw(std::uintptr_t number) const {
  return sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_CHECK_EXTENSION), number);
}

bool System::has(Cap cap) const {
  const auto answer = check_extension(cap);
  return answer && *answer > 0;
}

Result<std::size_t> System::vcpu_mmap_bytes() const {
  VMM_TRY(const int bytes, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_VCPU_MMAP_SIZE)));
  return static_cast<std::size_t>(bytes);
}

namespace {

std::uint32_t limit(const System& system, Cap cap, std::uint32_t fallback) {
  const auto answer = system.check_extension(cap);
  return answer && *answer > 0 ? static_cast<std::uint32_t>(*answer) : fallback;
}

}  // namespace

std::uint32_t System::nr_vcpus() const { return limit(*this, Cap::kNrVcpus, 4); }
std::uint32_t System::max_vcpus() const { return limit(*this, Cap::kMaxVcpus, nr_vcpus()); }
std::uint32_t System::max_vcpu_id() const { return limit(*this, Cap::kMaxVcpuId, max_vcpus()); }
std::uint32_t System::nr_memslots() const { return limit(*this, Cap::kNrMemslots, 32); }

Result<Vm> System::create_vm(std::uint64_t type) const {
#if defined(__aarch64__)
  if (type == 0) type = host_ipa_limit();
#endif
  VMM_TRY(const int fd, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_CREATE_VM), type));
  return adopt_vm(UniqueFd(fd));
}

Result<Vm> System::adopt_vm(UniqueFd fd) const {
  std::size_t run_bytes = run_bytes_;
  if (run_bytes == 0) {
    VMM_TRY(run_bytes, vcpu_mmap_bytes());
  }
  return Vm(std::move(fd), run_bytes);
}

#if defined(__x86_64__)

namespace {

Result<CpuidList> cpuid_query(int fd, sys_util::IoctlRequest request, std::size_t max_entries) {
  Result<CpuidList> list{std::in_place};
  if (!list->resize(max_entries)) {
    list = fail(Error::os(ENOMEM, request.name));
    return list;
  }
  const auto answer = sys_util::ioctl(fd, request, list->raw());
  if (!answer) list = fail(answer.error());
  return list;
}

// struct kvm_msr_list: a 32-bit count, then the indices.
Result<std::vector<std::uint32_t>> msr_list(int fd, sys_util::IoctlRequest request) {
  constexpr std::uint32_t kMax = 1u << 16;
  std::vector<std::uint32_t> list(1);
  // The first call asks for the number: E2BIG is its usual answer.
  const auto first = sys_util::ioctl(fd, request, static_cast<void*>(list.data()));
  if (!first && !first.error().is_os(E2BIG)) return fail(first.error());
  const std::uint32_t count = list[0];
  if (count > kMax) return fail(Error::os(E2BIG, request.name));
  list.resize(std::size_t{1} + count);
  VMM_TRY_DO(sys_util::ioctl(fd, request, static_cast<void*>(list.data())));
  if (list[0] < count) list.resize(std::size_t{1} + list[0]);
  list.erase(list.begin());
  return list;
}

}  // namespace

Result<CpuidList> System::supported_cpuid(std::size_t max_entries) const {
  return cpuid_query(fd_.get(), VMM_IOCTL(KVM_GET_SUPPORTED_CPUID), max_entries);
}

Result<CpuidList> System::emulated_cpuid(std::size_t max_entries) const {
  return cpuid_query(fd_.get(), VMM_IOCTL(KVM_GET_EMULATED_CPUID), max_entries);
}

Result<CpuidList> System::supported_hyperv_cpuid(std::size_t max_entries) const {
  return cpuid_query(fd_.get(), VMM_IOCTL(KVM_GET_SUPPORTED_HV_CPUID), max_entries);
}

Result<std::vector<std::uint32_t>> System::msr_indices() const {
  return msr_list(fd_.get(), VMM_IOCTL(KVM_GET_MSR_INDEX_LIST));
}

Result<std::vector<std::uint32_t>> System::feature_msr_indices() const {
  return msr_list(fd_.get(), VMM_IOCTL(KVM_GET_MSR_FEATURE_INDEX_LIST));
}

Result<std::size_t> System::get_feature_msrs(MsrList& msrs) const {
  VMM_TRY(const int count, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_MSRS), msrs.raw()));
  return static_cast<std::size_t>(count);
}

Result<std::uint64_t> System::supported_mce() const {
  return read<std::uint64_t>(fd_.get(), VMM_IOCTL(KVM_X86_GET_MCE_CAP_SUPPORTED));
}

Result<void> System::get_attr(const DeviceAttr& attr) const {
  return detail::get_attr(fd_.get(), attr);
}

bool System::has_attr(const DeviceAttr& attr) const { return detail::has_attr(fd_.get(), attr); }

#elif defined(__aarch64__)

std::uint32_t System::host_ipa_limit() const { return limit(*this, Cap::kArmVmIpaSize, 0); }

Result<Vm> System::create_vm_with_ipa_bits(std::uint32_t bits) const {
  // The number has one byte in the VM's type, in which 0 means 40.
  if (bits == 0 || bits > 0xff) return fail(Error::os(EINVAL, "KVM_CREATE_VM"));
  VMM_TRY(const int fd,
          sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_CREATE_VM), KVM_VM_TYPE_ARM_IPA_SIZE(bits)));
  return adopt_vm(UniqueFd(fd));
}

#endif

}  // namespace vmm::kvm_ioctls
