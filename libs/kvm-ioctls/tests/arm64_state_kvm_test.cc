// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>
#include <catch2/catch.hpp>

#include "machine.h"

namespace vmm::kvm_ioctls {
namespace {

using testing::create_vgic;
using testing::Machine;
using testing::needs;

Vcpu with_features(const Machine& machine, std::initializer_list<std::uint32_t> features) {
  Vcpu vcpu = *machine.vm.create_vcpu(0);
  VcpuInit init = *machine.vm.preferred_target();
  for (const std::uint32_t feature : features) init.enable(feature);
  REQUIRE(vcpu.init(init));
  return vcpu;
}

TEST_CASE("guest-physical addresses have 32 bits to the host's limit") {
  const System system = *System::open();
  const std::uint32_t limit = system.host_ipa_limit();
  CHECK((limit == 0 || limit >= 32));
  CHECK(system.create_vm_with_ipa_bits(31).error().is_os(EINVAL));
  CHECK(system.create_vm_with_ipa_bits(0).error().is_os(EINVAL));
  CHECK(system.create_vm_with_ipa_bits(256 + limit).error().is_os(EINVAL));
  if (!needs(limit != 0, "KVM_CAP_ARM_VM_IPA_SIZE")) return;
  CHECK(system.create_vm_with_ipa_bits(limit + 1).error().is_os(EINVAL));
  CHECK(system.create_vm_with_ipa_bits(limit));
  CHECK(system.create_vm_with_ipa_bits(32));
}

TEST_CASE("a GICv2 can be created exactly where its test says so") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  const bool known = vm.test_device(DeviceType::kArmVgicV2).has_value();
  CHECK(vm.create_irqchip().has_value() == known);
}

TEST_CASE("registers have the size of their id") {
  Machine machine;
  const Vcpu vcpu = machine.load({});
  std::array<std::byte, 16> buffer{};
  buffer.fill(std::byte{0xff});
  CHECK(vcpu.get_one_reg(kArm64Pc, std::span(buffer).first(7)).error().is_os(EINVAL));
  CHECK(*vcpu.get_one_reg(kArm64Pc, buffer) == 8);
  CHECK(buffer[1] == std::byte{0x10});
  CHECK(
      std::all_of(buffer.begin() + 8, buffer.end(), [](std::byte b) { return b == std::byte{0}; }));
  CHECK_FALSE(vcpu.get_one_reg(RegId{0}, buffer));
  CHECK_FALSE(vcpu.set_one_reg(RegId{0}, buffer));
  REQUIRE(vcpu.set_reg(arm64_x(5), 0x0123456789abcdef));
  CHECK(*vcpu.get_reg(arm64_x(5)) == 0x0123456789abcdef);
  // V3, of 16 bytes, is too large for a word.
  const auto v3 =
      static_cast<RegId>(kRegArchArm64 | kRegSizeU128 | 0x0010'0000 | (336 + 3 * 16) / 4);
  CHECK(vcpu.get_reg(v3).error().is_os(EINVAL));
  CHECK(vcpu.set_reg(v3, 1).error().is_os(EINVAL));
  buffer.fill(std::byte{0x3c});
  REQUIRE(vcpu.set_one_reg(v3, buffer));
  std::array<std::byte, 16> back{};
  CHECK(*vcpu.get_one_reg(v3, back) == 16);
  CHECK(back == buffer);
}

TEST_CASE("the register list is there after init, and its length is asked for first") {
  const Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  CHECK(vcpu.reg_list().error().is_os(ENOEXEC));
  VcpuInit init = *machine.vm.preferred_target();
  init.enable(VcpuInit::kPsci02);
  REQUIRE(vcpu.init(init));
  std::vector<RegId> few(3);
  const auto count = vcpu.reg_list(few);
  REQUIRE(count);
  CHECK(count->written == 0);
  CHECK(count->needed > 100);
  const auto all = vcpu.reg_list();
  REQUIRE(all);
  CHECK(all->size() == count->needed);
  CHECK(std::count(all->begin(), all->end(), kArm64Pc) == 1);
  std::array<std::byte, 256> value{};
  for (const RegId id : *all) {
    const auto bytes = vcpu.get_one_reg(id, value);
    INFO(std::hex << static_cast<std::uint64_t>(id));
    REQUIRE(bytes);
    CHECK(vcpu.set_one_reg(id, std::span(value).first(*bytes)));
  }
}

TEST_CASE("a feature that the host lacks is refused by init") {
  const Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  VcpuInit init = *machine.vm.preferred_target();
  init.enable(31);
  CHECK_FALSE(vcpu.init(init));
}

TEST_CASE("PSCI is version 1.0 or later, and can be set to an earlier one") {
  const Machine machine;
  const Vcpu vcpu = with_features(machine, {VcpuInit::kPsci02});
  CHECK(*vcpu.get_reg(kArm64PsciVersion) >= 0x10000);
  CHECK(vcpu.set_reg(kArm64PsciVersion, 2));  // 0.2
  CHECK(*vcpu.get_reg(kArm64PsciVersion) == 2);
}

TEST_CASE("a pending system error is part of the state") {
  const Machine machine;
  const Vcpu vcpu = with_features(machine, {VcpuInit::kPsci02});
  const auto events = vcpu.get_vcpu_events();
  REQUIRE(events);
  CHECK(events->serror_pending == 0);
  Arm64VcpuEvents pending = *events;
  pending.serror_pending = 1;
  REQUIRE(vcpu.set_vcpu_events(pending));
  CHECK(vcpu.get_vcpu_events()->serror_pending == 1);
}

TEST_CASE("SVE has a set of vector lengths and is sealed by finalize") {
  const Machine machine;
  if (!needs(machine.vm.has(Cap::kArmSve), "KVM_CAP_ARM_SVE")) return;
  const Vcpu vcpu = with_features(machine, {VcpuInit::kPsci02, VcpuInit::kSve});
  CHECK(vcpu.reg_list().error().is_os(EPERM));
  std::array<std::uint64_t, 8> lengths{};
  const auto bytes = std::as_writable_bytes(std::span(lengths));
  REQUIRE(*vcpu.get_one_reg(kArm64SveLengths, bytes) == 64);
  CHECK((lengths[0] & 1) == 1);
  lengths = {1};  // 16 bytes only
  REQUIRE(vcpu.set_one_reg(kArm64SveLengths, bytes));
  REQUIRE(vcpu.finalize(VcpuInit::kSve));
  CHECK(vcpu.set_one_reg(kArm64SveLengths, bytes).error().is_os(EPERM));
  CHECK(vcpu.finalize(VcpuInit::kSve).error().is_os(EPERM));
  CHECK(vcpu.reg_list());
}

TEST_CASE("pointer authentication is asked for in both forms or not at all") {
  const Machine machine;
  if (!needs(machine.vm.has(Cap::kArmPtrauthAddress), "KVM_CAP_ARM_PTRAUTH_ADDRESS")) return;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  VcpuInit init = *machine.vm.preferred_target();
  VcpuInit half = init;
  half.enable(VcpuInit::kPtrauthAddress);
  CHECK_FALSE(vcpu.init(half));
  init.enable(VcpuInit::kPtrauthAddress);
  init.enable(VcpuInit::kPtrauthGeneric);
  CHECK(vcpu.init(init));
}

TEST_CASE("timers and the PMU have attributes of the vCPU") {
  const Machine machine;
  if (!needs(machine.vm.has(Cap::kArmPmuV3), "KVM_CAP_ARM_PMU_V3")) return;
  const auto vgic = create_vgic(machine.vm);
  REQUIRE(vgic);
  const Vcpu vcpu = with_features(machine, {VcpuInit::kPsci02, VcpuInit::kPmuV3});
  CHECK(vcpu.has_attr({.group = kArmVcpuTimer, .attr = kArmVcpuTimerVirtual}));
  CHECK(vcpu.has_attr({.group = kArmVcpuPmu, .attr = kArmVcpuPmuInit}));
  CHECK_FALSE(vcpu.has_attr({.group = 99, .attr = 0}));
  CHECK_FALSE(vcpu.has_attr({.group = kArmVcpuTimer, .attr = 99}));
  std::int32_t irq = 0;
  REQUIRE(vcpu.get_attr({.group = kArmVcpuTimer, .attr = kArmVcpuTimerVirtual, .data = &irq}));
  CHECK(irq == 27);
  irq = 28;
  REQUIRE(vcpu.set_attr({.group = kArmVcpuTimer, .attr = kArmVcpuTimerVirtual, .data = &irq}));
  irq = 0;
  REQUIRE(vcpu.get_attr({.group = kArmVcpuTimer, .attr = kArmVcpuTimerVirtual, .data = &irq}));
  CHECK(irq == 28);
  irq = 100;  // no PPI
  CHECK_FALSE(vcpu.set_attr({.group = kArmVcpuTimer, .attr = kArmVcpuTimerVirtual, .data = &irq}));
  Arm64PmuFilter filter{
      .base_event = 0x11, .events = 1, .action = Arm64PmuFilter::kDeny, .pad = {}};
  CHECK(vcpu.set_attr({.group = kArmVcpuPmu, .attr = kArmVcpuPmuFilter, .data = &filter}));
  filter.action = 7;
  CHECK(vcpu.set_attr({.group = kArmVcpuPmu, .attr = kArmVcpuPmuFilter, .data = &filter})
            .error()
            .is_os(EINVAL));
}

TEST_CASE("interrupt lines are named by kind and number once the vGIC is ready") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  const auto vgic = create_vgic(vm);
  REQUIRE(vgic);
  std::uint32_t irqs = 128;
  REQUIRE(vgic->set_attr({.group = kVgicNrIrqs, .data = &irqs}));
  const Vcpu vcpu = *vm.create_vcpu(0);
  VcpuInit init = *vm.preferred_target();
  REQUIRE(vcpu.init(init));
  if (vm.test_device(DeviceType::kArmVgicV3)) {  // a GICv2 initializes itself on first use
    CHECK_FALSE(vm.set_irq_line(Gsi{0x01000020}, true));
  }
  REQUIRE(vgic->set_attr({.group = kVgicControl, .attr = kVgicInit}));
  CHECK(vm.set_irq_line(Gsi{0x01000020}, true));
  CHECK(vm.set_irq_line(Gsi{0x02000010}, true));
  CHECK(vm.set_irq_line(arm_gsi({.kind = ArmIrqKind::kSpi, .number = 127}), false));
  CHECK_FALSE(vm.set_irq_line(arm_gsi({.kind = ArmIrqKind::kSpi, .number = 128}), false));
  CHECK_FALSE(vm.set_irq_line(arm_gsi({.kind = ArmIrqKind::kSpi, .number = 31}), false));
  CHECK_FALSE(vm.set_irq_line(arm_gsi({.kind = ArmIrqKind::kPpi, .number = 32}), false));
  CHECK_FALSE(vm.set_irq_line(arm_gsi({.kind = ArmIrqKind::kPpi, .vcpu = 9, .number = 16}), false));
  CHECK(vgic->set_attr({.group = kVgicNrIrqs, .data = &irqs}).error().is_os(EBUSY));
}

TEST_CASE("the counter offset works exactly where KVM has it") {
  const Machine machine;
  CHECK(machine.vm.set_counter_offset(1000).has_value() == machine.vm.has(Cap::kCounterOffset));
}

TEST_CASE("writable identification registers can be asked for where KVM tells") {
  const Machine machine;
  const auto masks = machine.vm.reg_writable_masks();
  REQUIRE(masks.has_value() == machine.vm.has(Cap::kArmSupportedRegMaskRanges));
  if (!needs(masks.has_value(), "KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES")) return;
  // ID_AA64PFR0_EL1 is (3, 0, 0, 4, 0); MIDR's place holds no feature.
  CHECK((*masks)[{.op0 = 3, .op1 = 0, .crn = 0, .crm = 4, .op2 = 0}] != 0);
  CHECK((*masks)[{.op0 = 3, .op1 = 2, .crn = 0, .crm = 4, .op2 = 0}] == 0);
  CHECK((*masks)[{.op0 = 3, .op1 = 0, .crn = 1, .crm = 4, .op2 = 0}] == 0);
}

TEST_CASE("tags are copied to a guest and back where it has them") {
  Machine machine;
  std::array<std::byte, 4096 / 16> tags{};
  tags.fill(std::byte{7});
  const MteTags out{.address = GuestAddress(0), .tags = tags, .to_guest = true};
  if (!needs(machine.vm.has(Cap::kArmMte), "KVM_CAP_ARM_MTE")) {
    CHECK(machine.vm.copy_mte_tags(out).error().is_os(EINVAL));
    return;
  }
  REQUIRE(machine.vm.enable_cap({.cap = Cap::kArmMte}));
  CHECK(*machine.vm.copy_mte_tags(out) == 4096);
  std::array<std::byte, 4096 / 16> back{};
  CHECK(*machine.vm.copy_mte_tags({.address = GuestAddress(0), .tags = back, .to_guest = false}) ==
        4096);
  CHECK(back == tags);
  CHECK_FALSE(
      machine.vm.copy_mte_tags({.address = GuestAddress(0x100), .tags = tags, .to_guest = true}));
}

}  // namespace
}  // namespace vmm::kvm_ioctls
