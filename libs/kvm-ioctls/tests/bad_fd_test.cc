// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <sys/mman.h>

#include <catch2/catch.hpp>

#include "machine.h"

namespace vmm::kvm_ioctls {
namespace {

template <class T>
bool bad(const Result<T>& result) {
  return !result && result.error().is_os(EBADF);
}

Vcpu closed_vcpu() {
  auto vcpu = Vcpu::adopt({.fd = UniqueFd(), .run = testing::ram(12288)});
  REQUIRE(vcpu);
  return std::move(*vcpu);
}

TEST_CASE("every function of a system without a descriptor says EBADF", "[hostile]") {
  const System system = System::adopt(UniqueFd());
  CHECK(bad(system.api_version()));
  CHECK(bad(system.check_extension(Cap::kUserMemory)));
  CHECK(bad(system.check_extension_raw(696969)));
  CHECK_FALSE(system.has(Cap::kUserMemory));
  CHECK(bad(system.vcpu_mmap_bytes()));
  CHECK(bad(system.create_vm()));
  CHECK(bad(system.adopt_vm(UniqueFd())));
#if defined(__x86_64__)
  CHECK(bad(system.supported_cpuid()));
  CHECK(bad(system.emulated_cpuid()));
  CHECK(bad(system.supported_hyperv_cpuid()));
  CHECK(bad(system.msr_indices()));
  CHECK(bad(system.feature_msr_indices()));
  MsrList msrs;
  CHECK(bad(system.get_feature_msrs(msrs)));
  CHECK(bad(system.supported_mce()));
  CHECK(bad(system.get_attr({})));
  CHECK_FALSE(system.has_attr({}));
#endif
}

TEST_CASE("limits fall back to safe numbers when KVM does not answer") {
  const System system = System::adopt(UniqueFd());
  CHECK(system.nr_vcpus() == 4);
  CHECK(system.max_vcpus() == 4);
  CHECK(system.max_vcpu_id() == 4);
  CHECK(system.nr_memslots() == 32);
}

TEST_CASE("opening what is not there, or is not KVM, is an error that says so") {
  const auto absent = System::open({.path = "/nonexistent/kvm"});
  REQUIRE_FALSE(absent);
  CHECK(absent.error().is_os(ENOENT));
  const auto other = System::open({.path = "/dev/null"});
  REQUIRE_FALSE(other);
  CHECK(other.error().is_os(ENOTTY));
  CHECK(std::string_view(other.error().what()) == "KVM_GET_API_VERSION");
}

TEST_CASE("every function of a VM without a descriptor says EBADF", "[hostile]") {
  const Vm vm = Vm::adopt(UniqueFd(), 12288);
  CHECK(bad(vm.check_extension(Cap::kIrqfd)));
  CHECK(bad(vm.check_extension_raw(1)));
  CHECK_FALSE(vm.has(Cap::kIrqfd));
  CHECK(bad(vm.enable_cap({})));
  CHECK(bad(vm.memory_slots()));
  CHECK(bad(vm.set_memory_region({})));
  CHECK(bad(vm.set_memory_region2({}, {})));
  CHECK(bad(vm.create_guest_memfd(4096)));
  CHECK(bad(vm.set_memory_attributes({})));
  CHECK(bad(vm.enable_dirty_ring(1024)));
  CHECK(bad(vm.reset_dirty_rings()));
  CHECK(bad(vm.enable_manual_dirty_protect()));
  CHECK(bad(vm.register_coalesced({.address = 0, .bytes = 8})));
  CHECK(bad(vm.unregister_coalesced({.address = 0, .bytes = 8})));
  CHECK(bad(vm.create_vcpu(0)));
  CHECK(bad(vm.create_device(DeviceType::kVfio)));
  CHECK(bad(vm.test_device(DeviceType::kVfio)));
  CHECK(bad(vm.stats()));
  CHECK(bad(vm.register_ioevent(0, {})));
  CHECK(bad(vm.unregister_ioevent(0, {})));
  CHECK(bad(vm.register_irqfd(0, Gsi{5})));
  CHECK(bad(vm.register_irqfd_with_resample({.trigger = 0, .resample = 1}, Gsi{5})));
  CHECK(bad(vm.unregister_irqfd(0, Gsi{5})));
  CHECK(bad(vm.set_irq_line(Gsi{5}, true)));
  CHECK(bad(vm.set_irq_line_status(Gsi{5}, true)));
  CHECK(bad(vm.signal_msi({})));
  CHECK(bad(vm.set_gsi_routing({})));
  std::uint64_t command[4] = {};
  CHECK(bad(vm.memory_encrypt_op(command)));
  CHECK(bad(vm.register_encrypted_region({})));
  CHECK(bad(vm.unregister_encrypted_region({})));
  CHECK(bad(vm.set_attr({})));
  CHECK(bad(vm.get_attr({})));
  CHECK_FALSE(vm.has_attr({}));
}

#if defined(__x86_64__)
TEST_CASE("every x86_64 function of a VM without a descriptor says EBADF", "[hostile]") {
  const Vm vm = Vm::adopt(UniqueFd(), 12288);
  IrqChip chip;
  XenAttr attr;
  CHECK(bad(vm.create_irqchip()));
  CHECK(bad(vm.enable_split_irqchip(24)));
  CHECK(bad(vm.get_irqchip(chip)));
  CHECK(bad(vm.set_irqchip(chip)));
  CHECK(bad(vm.create_pit()));
  CHECK(bad(vm.get_pit()));
  CHECK(bad(vm.set_pit({})));
  CHECK(bad(vm.set_pit_reinject(true)));
  CHECK(bad(vm.get_clock()));
  CHECK(bad(vm.set_clock({})));
  CHECK(bad(vm.set_tss_address(GuestAddress(0))));
  CHECK(bad(vm.set_identity_map_address(GuestAddress(0))));
  CHECK(bad(vm.set_boot_cpu_id(0)));
  CHECK(bad(vm.set_tsc_khz(1)));
  CHECK(bad(vm.tsc_khz()));
  CHECK(vm.xsave_bytes() == 4096);
  CHECK(bad(vm.set_msr_filter({})));
  CHECK(bad(vm.set_pmu_event_filter({})));
  CHECK(bad(vm.set_xen_config({})));
  CHECK(bad(vm.get_xen_attr(attr)));
  CHECK(bad(vm.set_xen_attr(attr)));
  CHECK(bad(vm.set_hyperv_eventfd(1, -1)));
}
#elif defined(__aarch64__)
TEST_CASE("every aarch64 function of a VM or a vCPU without a descriptor says EBADF", "[hostile]") {
  CHECK(bad(System::adopt(UniqueFd()).create_vm_with_ipa_bits(40)));
  const Vm vm = Vm::adopt(UniqueFd(), 12288);
  std::array<std::byte, 256> tags{};
  CHECK(bad(vm.create_irqchip()));
  CHECK(bad(vm.preferred_target()));
  CHECK(bad(vm.set_counter_offset(0)));
  CHECK(bad(vm.copy_mte_tags({.address = GuestAddress(0), .tags = tags, .to_guest = false})));
  CHECK(bad(vm.reg_writable_masks()));
  CHECK(bad(vm.set_smccc_filter({.base = 0, .count = 1, .action = SmcccFilter::Action::kDeny})));
  const Vcpu vcpu = closed_vcpu();
  CHECK(bad(vcpu.init({})));
  CHECK(bad(vcpu.finalize(VcpuInit::kSve)));
  CHECK(bad(vcpu.get_vcpu_events()));
  CHECK(bad(vcpu.set_vcpu_events({})));
  CHECK(bad(vcpu.set_guest_debug({})));
}
#endif

TEST_CASE("every function of a vCPU without a descriptor says EBADF", "[hostile]") {
  Vcpu vcpu = closed_vcpu();
  CHECK(bad(vcpu.run()));
  CHECK(bad(vcpu.complete_pending_io()));
  CHECK(bad(vcpu.enable_cap({})));
  CHECK(bad(vcpu.mp_state()));
  CHECK(bad(vcpu.set_mp_state(MpState::kRunnable)));
  CHECK(bad(vcpu.set_signal_mask(0)));
  CHECK(bad(vcpu.set_signal_mask(std::nullopt)));
  CHECK(bad(vcpu.stats()));
  CHECK(bad(vcpu.map_coalesced_ring()));
  CHECK(bad(vcpu.map_dirty_ring(1024)));
  CHECK(bad(vcpu.pre_fault({.address = GuestAddress(0), .bytes = 4096})));
  std::uint64_t words[4] = {};
  CHECK(bad(vcpu.memory_encrypt_op(words)));
  CHECK(bad(vcpu.set_attr({})));
  CHECK(bad(vcpu.get_attr({})));
  CHECK_FALSE(vcpu.has_attr({}));
  const RegId reg{kRegArchX86 | kRegSizeU64};
  CHECK(bad(vcpu.get_one_reg(reg, std::as_writable_bytes(std::span(words)))));
  CHECK(bad(vcpu.set_one_reg(reg, std::as_bytes(std::span(words)))));
  CHECK(bad(vcpu.get_reg(reg)));
  CHECK(bad(vcpu.set_reg(reg, 0)));
  CHECK(bad(vcpu.reg_list()));
}

#if defined(__x86_64__)
TEST_CASE("every x86_64 function of a vCPU without a descriptor says EBADF", "[hostile]") {
  const Vcpu vcpu = closed_vcpu();
  MsrList msrs;
  NestedState nested{};
  nested.size = NestedState::kHeaderBytes;
  XenAttr attr;
  const std::vector<std::byte> state(4096);
  CHECK(bad(vcpu.get_regs()));
  CHECK(bad(vcpu.set_regs({})));
  CHECK(bad(vcpu.get_sregs()));
  CHECK(bad(vcpu.set_sregs({})));
  CHECK(bad(vcpu.get_sregs2()));
  CHECK(bad(vcpu.set_sregs2({})));
  CHECK(bad(vcpu.get_fpu()));
  CHECK(bad(vcpu.set_fpu({})));
  CHECK(bad(vcpu.set_cpuid2({})));
  CHECK(bad(vcpu.get_cpuid2()));
  CHECK(bad(vcpu.get_msrs(msrs)));
  CHECK(bad(vcpu.set_msrs(msrs)));
  CHECK(bad(vcpu.get_lapic()));
  CHECK(bad(vcpu.set_lapic({})));
  CHECK(bad(vcpu.get_vcpu_events()));
  CHECK(bad(vcpu.set_vcpu_events({})));
  CHECK(bad(vcpu.get_debug_regs()));
  CHECK(bad(vcpu.set_debug_regs({})));
  CHECK(bad(vcpu.get_xcrs()));
  CHECK(bad(vcpu.set_xcrs({})));
  CHECK(bad(vcpu.get_xsave()));
  CHECK(bad(vcpu.get_xsave2()));
  CHECK(bad(vcpu.set_xsave(state)));
  CHECK(bad(vcpu.get_nested_state()));
  CHECK(bad(vcpu.set_nested_state(nested)));
  CHECK(bad(vcpu.tsc_khz()));
  CHECK(bad(vcpu.set_tsc_khz(1)));
  CHECK(bad(vcpu.set_guest_debug({})));
  CHECK(bad(vcpu.translate(0)));
  CHECK(bad(vcpu.inject_nmi()));
  CHECK(bad(vcpu.inject_smi()));
  CHECK(bad(vcpu.inject_interrupt(1)));
  CHECK(bad(vcpu.notify_paused()));
  CHECK(bad(vcpu.setup_mce(0)));
  CHECK(bad(vcpu.inject_mce({})));
  CHECK(bad(vcpu.get_xen_attr(attr)));
  CHECK(bad(vcpu.set_xen_attr(attr)));
}
#endif

TEST_CASE("devices and statistics without a descriptor say EBADF", "[hostile]") {
  const Device device = Device::adopt(UniqueFd());
  CHECK(bad(device.set_attr({})));
  CHECK(bad(device.get_attr({})));
  CHECK_FALSE(device.has_attr({}));
  const StatsFd stats = StatsFd::adopt(UniqueFd());
  CHECK(bad(stats.schema()));
  CHECK(bad(stats.read({.id = "", .descriptors = {}, .data_offset = 0, .data_bytes = 8})));
}

}  // namespace
}  // namespace vmm::kvm_ioctls
