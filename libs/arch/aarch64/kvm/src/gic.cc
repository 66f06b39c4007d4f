// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/kvm/gic.h"

#include "vmm/arch/aarch64/kvm/error.h"
#include "vmm/arch/aarch64/layout.h"
#include "vmm/kvm_ioctls/arm64_state.h"

namespace vmm::arch::aarch64::kvm {

#if defined(__aarch64__)

namespace {

using kvm_ioctls::Device;
using kvm_ioctls::DeviceType;

constexpr std::uint32_t kInterrupts = kFirstSpi + kSpiCount;

Result<void> set_address(const Device& device, std::uint64_t what, std::uint64_t address) {
  return device.set_attr({.group = kvm_ioctls::kVgicAddress, .attr = what, .data = &address});
}

Result<void> set_interrupts(const Device& device) {
  std::uint32_t interrupts = kInterrupts;
  return device.set_attr({.group = kvm_ioctls::kVgicNrIrqs, .data = &interrupts});
}

Result<void> initialize(const Device& device) {
  return device.set_attr({.group = kvm_ioctls::kVgicControl, .attr = kvm_ioctls::kVgicInit});
}

Result<void> set_up_v3(const Device& device, std::uint32_t vcpus) {
  VMM_TRY_DO(set_interrupts(device));
  VMM_TRY_DO(set_address(device, kvm_ioctls::kVgicV3DistAddress, kGicDistributor.base.raw()));
  constexpr unsigned kCountShift = 52;  // above the address, which is a multiple of 64 KiB
  const std::uint64_t region =
      std::uint64_t{vcpus} << kCountShift | redistributors(vcpus).base.raw();
  VMM_TRY_DO(set_address(device, kvm_ioctls::kVgicV3RedistRegion, region));
  return initialize(device);
}

Result<void> set_up_v2(const Device& device) {
  VMM_TRY_DO(set_interrupts(device));
  VMM_TRY_DO(set_address(device, kvm_ioctls::kVgicV2DistAddress, kGicV2Distributor.base.raw()));
  VMM_TRY_DO(set_address(device, kvm_ioctls::kVgicV2CpuAddress, kGicV2CpuInterface.base.raw()));
  return initialize(device);
}

Result<Device> create_its(const kvm_ioctls::Vm& vm, std::uint32_t vcpus) {
  VMM_TRY(Device device, vm.create_device(DeviceType::kArmVgicIts));
  VMM_TRY_DO(set_address(device, kvm_ioctls::kVgicItsAddress, its(vcpus).base.raw()));
  VMM_TRY_DO(initialize(device));
  return device;
}

}  // namespace

Result<Gic> Gic::create(const kvm_ioctls::Vm& vm, const GicConfig& config) {
  GicVersion version = GicVersion::kV3;
  if (config.version) {
    version = *config.version;
  } else if (!vm.test_device(DeviceType::kArmVgicV3).has_value()) {
    version = GicVersion::kV2;
  }
  const bool v3 = version == GicVersion::kV3;
  const DeviceType type = v3 ? DeviceType::kArmVgicV3 : DeviceType::kArmVgicV2;
  if (!vm.test_device(type).has_value()) return fail(SetupError::kNoGic);
  if (config.vcpus > (v3 ? kMaxVcpus : kMaxVcpusGicV2)) return fail(SetupError::kTooManyVcpus);
  VMM_TRY(Device device, vm.create_device(type));
  Gic gic(std::move(device), version, config.vcpus);
  if (!v3) {
    VMM_TRY_DO(set_up_v2(gic.device_));
    return gic;
  }
  VMM_TRY_DO(set_up_v3(gic.device_, config.vcpus));
  if (config.its && vm.test_device(DeviceType::kArmVgicIts).has_value()) {
    VMM_TRY(gic.its_, create_its(vm, config.vcpus));
  }
  return gic;
}

#endif

}  // namespace vmm::arch::aarch64::kvm
