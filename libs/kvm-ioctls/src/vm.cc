// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/vm.h"

#include <sys/mman.h>

#include "call.h"
#include "uapi_extra.h"

namespace vmm::kvm_ioctls {

Result<int> Vm::check_extension(Cap cap) const {
  return check_extension_raw(static_cast<std::uintptr_t>(cap));
}

Result<int> Vm::check_extension_raw(std::uintptr_t number) const {
  return sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_CHECK_EXTENSION), number);
}

bool Vm::has(Cap cap) const {
  const auto answer = check_extension(cap);
  return answer && *answer > 0;
}

Result<void> Vm::enable_cap(const EnableCap& cap) const {
  return call(fd_.get(), VMM_IOCTL(KVM_ENABLE_CAP), &cap);
}

Result<Vcpu> Vm::create_vcpu(std::uint32_t id) const {
  Vcpu::Parts parts;
#if defined(__x86_64__)
  parts.xsave_bytes = xsave_bytes();
#endif
  VMM_TRY(const int raw, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_CREATE_VCPU), id));
  parts.fd = UniqueFd(raw);
  VMM_TRY(parts.run, sys_util::Mapping::create(run_bytes_, {.protection = PROT_READ | PROT_WRITE,
                                                            .flags = MAP_SHARED,
                                                            .fd = parts.fd.get()}));
  return Vcpu::adopt(std::move(parts));
}

Result<Device> Vm::create_device(DeviceType type) const {
  kvm_create_device request{.type = static_cast<std::uint32_t>(type), .fd = 0, .flags = 0};
  VMM_TRY_DO(call(fd_.get(), VMM_IOCTL(KVM_CREATE_DEVICE), static_cast<void*>(&request)));
  return Device::adopt(UniqueFd(static_cast<int>(request.fd)));
}

Result<void> Vm::test_device(DeviceType type) const {
  kvm_create_device request{
      .type = static_cast<std::uint32_t>(type), .fd = 0, .flags = KVM_CREATE_DEVICE_TEST};
  return call(fd_.get(), VMM_IOCTL(KVM_CREATE_DEVICE), static_cast<void*>(&request));
}

Result<StatsFd> Vm::stats() const {
  VMM_TRY(const int fd, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_STATS_FD)));
  return StatsFd::adopt(UniqueFd(fd));
}

Result<void> Vm::memory_encrypt_op(void* command) const {
  return call(fd_.get(), VMM_IOCTL(KVM_MEMORY_ENCRYPT_OP), command);
}

Result<void> Vm::register_encrypted_region(const HostRange& range) const {
  kvm_enc_region region{.addr = range.address, .size = range.bytes};
  return call(fd_.get(), VMM_IOCTL(KVM_MEMORY_ENCRYPT_REG_REGION), static_cast<void*>(&region));
}

Result<void> Vm::unregister_encrypted_region(const HostRange& range) const {
  kvm_enc_region region{.addr = range.address, .size = range.bytes};
  return call(fd_.get(), VMM_IOCTL(KVM_MEMORY_ENCRYPT_UNREG_REGION), static_cast<void*>(&region));
}

}  // namespace vmm::kvm_ioctls
