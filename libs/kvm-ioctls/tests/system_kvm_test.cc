// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "machine.h"

namespace vmm::kvm_ioctls {
namespace {

using testing::Machine;
using testing::needs;

TEST_CASE("the interface is version 12, has user memory, and knows no capability 696969") {
  const System system = *System::open();
  CHECK(*system.api_version() == 12);
  CHECK(system.has(Cap::kUserMemory));
  CHECK(*system.check_extension_raw(696969) == 0);
  CHECK(*system.check_extension(Cap::kUserMemory) > 0);
}

TEST_CASE("the descriptor is read-write and closed on exec unless told otherwise") {
  const auto flags = [](const System& system) { return ::fcntl(system.fd(), F_GETFD); };
  const System usual = *System::open();
  CHECK((flags(usual) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(usual.fd(), F_GETFL) & O_ACCMODE) == O_RDWR);
  CHECK((flags(*System::open({.close_on_exec = true})) & FD_CLOEXEC) != 0);
  CHECK((flags(*System::open({.close_on_exec = false})) & FD_CLOEXEC) == 0);
}

TEST_CASE("an adopted system makes VMs like an opened one") {
  const System opened = *System::open();
  const System system = System::adopt(UniqueFd(::dup(opened.fd())));
  const auto vm = system.create_vm();
  REQUIRE(vm);
  CHECK(vm->create_vcpu(0));
}

TEST_CASE("limits are plausible") {
  const System system = *System::open();
  CHECK(system.nr_vcpus() >= 1);
  CHECK(system.max_vcpus() >= system.nr_vcpus());
  CHECK(system.max_vcpus() >= 4);
  CHECK(system.max_vcpu_id() >= system.max_vcpus());
  CHECK(system.nr_memslots() >= 32);
  CHECK(*system.vcpu_mmap_bytes() > 0);
}

TEST_CASE("vCPU ids end at the reported limit") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  CHECK(vm.create_vcpu(65537).error().is_os(EINVAL));
  CHECK(vm.create_vcpu(system.max_vcpu_id()).error().is_os(EINVAL));
  CHECK(vm.create_vcpu(system.max_vcpu_id() - 1));
  CHECK(vm.create_vcpu(0));
  CHECK(vm.create_vcpu(0).error().is_os(EEXIST));
}

TEST_CASE("a VM of a type that does not exist is refused") {
  CHECK_FALSE(System::open()->create_vm(0x7f00));
}

#if defined(__x86_64__)

TEST_CASE("supported CPUID fits, and survives being set with one bit cleared") {
  const Machine machine;
  const auto too_few = machine.system.supported_cpuid(1);
  REQUIRE_FALSE(too_few);
  CHECK(too_few.error().is_os(E2BIG));
  CpuidList cpuid = *machine.system.supported_cpuid();
  REQUIRE(cpuid.size() > 5);

  const auto find = [](CpuidList& list, std::uint32_t function) {
    return std::find_if(list.begin(), list.end(), [&](const CpuidEntry& entry) {
      return entry.function == function && entry.index == 0;
    });
  };
  constexpr std::uint32_t kBit29 = 1u << 29;
  CpuidEntry* features = find(cpuid, 7);
  REQUIRE(features != cpuid.end());
  features->ebx &= ~kBit29;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  REQUIRE(vcpu.set_cpuid2(cpuid));
  CpuidList back = *vcpu.get_cpuid2();
  CHECK(back.size() == cpuid.size());
  CHECK((find(back, 7)->ebx & kBit29) == 0);
  CHECK(find(back, 0)->ebx == find(cpuid, 0)->ebx);
  CHECK(find(back, 0)->ecx == find(cpuid, 0)->ecx);
  CHECK(find(back, 0)->edx == find(cpuid, 0)->edx);
  CHECK(vcpu.get_cpuid2(cpuid.size() - 1).error().is_os(E2BIG));
  CHECK(vcpu.get_cpuid2(cpuid.size()));
}

TEST_CASE("what KVM emulates and Hyper-V's leaves can be asked for") {
  const System system = *System::open();
  if (needs(system.has(Cap::kExtEmulCpuid), "KVM_CAP_EXT_EMUL_CPUID")) {
    CHECK(system.emulated_cpuid());
  }
  if (needs(system.has(Cap::kSysHypervCpuid), "KVM_CAP_SYS_HYPERV_CPUID")) {
    const auto leaves = system.supported_hyperv_cpuid();
    REQUIRE(leaves);
    CHECK(leaves->begin()->function == 0x40000000);
  }
}

TEST_CASE("MSR lists are not empty, and feature MSRs can be read") {
  const System system = *System::open();
  const auto indices = system.msr_indices();
  REQUIRE(indices);
  CHECK(indices->size() >= 2);
  CHECK(std::find(indices->begin(), indices->end(), 0x10u) != indices->end());  // the TSC
  if (!needs(system.has(Cap::kGetMsrFeatures), "KVM_CAP_GET_MSR_FEATURES")) return;
  const auto features = system.feature_msr_indices();
  REQUIRE(features);
  MsrList msrs;
  for (const std::uint32_t index : *features) {
    REQUIRE(msrs.push_back({.index = index, .reserved = 0, .data = 0}));
  }
  CHECK(*system.get_feature_msrs(msrs) == features->size());
}

TEST_CASE("feature MSRs 0x10a and 0x345 are both known") {
  const System system = *System::open();
  const auto features = system.feature_msr_indices();
  REQUIRE(features);
  MsrList msrs;
  for (const std::uint32_t index : {0x10au, 0x345u}) {
    const bool known = std::find(features->begin(), features->end(), index) != features->end();
    if (!needs(known, "feature MSRs 0x10a and 0x345")) return;
    REQUIRE(msrs.push_back({.index = index, .reserved = 0, .data = 0}));
  }
  CHECK(*system.get_feature_msrs(msrs) == 2);
}

TEST_CASE("machine-check capabilities have banks") {
  const System system = *System::open();
  if (!needs(system.has(Cap::kMce), "KVM_CAP_MCE")) return;
  const std::uint64_t capabilities = *system.supported_mce();
  const Vm vm = *system.create_vm();
  const Vcpu vcpu = *vm.create_vcpu(0);
  CHECK(vcpu.setup_mce(10 | (capabilities & ~std::uint64_t{0xff})));
  CHECK(vcpu.setup_mce(0xff).error().is_os(EINVAL));  // more banks than KVM has
  MachineCheck mce{};
  mce.bank = 200;
  CHECK(vcpu.inject_mce(mce).error().is_os(EINVAL));
}

#endif

}  // namespace
}  // namespace vmm::kvm_ioctls
