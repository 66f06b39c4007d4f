// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "errors.h"
#include "vmm/arch/aarch64/kvm/error.h"
#include "vmm/arch/aarch64/kvm/gic.h"
#include "vmm/arch/aarch64/kvm/gic_state.h"
#include "vmm/arch/aarch64/kvm/vcpu.h"
#include "vmm/arch/aarch64/kvm/vm.h"
#include "vmm/arch/aarch64/layout.h"
#include "vmm/kvm_ioctls/arm64_state.h"
#include "vmm/sys_util/mapping.h"

#if defined(__aarch64__)

namespace vmm::arch::aarch64::kvm {
namespace {

using kvm_ioctls::Device;
using kvm_ioctls::System;
using kvm_ioctls::Vcpu;
using kvm_ioctls::Vm;

constexpr std::size_t kRamBytes = 4 << 20;

sys_util::Mapping ram() {
  auto mapping = sys_util::Mapping::create(
      kRamBytes, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
  REQUIRE(mapping);
  return std::move(*mapping);
}

// A VM with two vCPUs, a GIC, and the given memory at the start of RAM.
struct Machine {
  explicit Machine(const sys_util::Mapping& memory, std::optional<GicVersion> version = {})
      : vm(*create_vm(*System::open(), GuestAddress(kRamStart.raw() + kRamBytes))) {
    REQUIRE(vm.set_memory_region({.address = kRamStart, .host = memory.bytes()}));
    for (std::uint32_t i = 0; i < 2; ++i) {
      vcpus.push_back(*vm.create_vcpu(i));
      REQUIRE(set_up_vcpu(vcpus.back(), *vcpu_init(vm, {}, i != 0)));
    }
    auto made = Gic::create(vm, {.vcpus = 2, .version = version});
    if (!made) FAIL(to_string(made.error()));
    gic.emplace(std::move(*made));
  }

  Vm vm;
  std::vector<Vcpu> vcpus;
  std::optional<Gic> gic;
};

bool has_gic(GicVersion version) {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  return vm
      .test_device(version == GicVersion::kV3 ? kvm_ioctls::DeviceType::kArmVgicV3
                                              : kvm_ioctls::DeviceType::kArmVgicV2)
      .has_value();
}

void set32(const Device& device, std::uint32_t group, std::uint64_t attr, std::uint32_t value) {
  INFO(std::hex << "group " << group << " attribute " << attr);
  REQUIRE(device.set_attr({.group = group, .attr = attr, .data = &value}));
}
std::uint32_t get32(const Device& device, std::uint32_t group, std::uint64_t attr) {
  std::uint32_t value = 0;
  INFO(std::hex << "group " << group << " attribute " << attr);
  REQUIRE(device.get_attr({.group = group, .attr = attr, .data = &value}));
  return value;
}
void set64(const Device& device, std::uint32_t group, std::uint64_t attr, std::uint64_t value) {
  INFO(std::hex << "group " << group << " attribute " << attr);
  REQUIRE(device.set_attr({.group = group, .attr = attr, .data = &value}));
}

// What a running guest may have made of it: some interrupts enabled, pending, active, of several
// priorities and kinds, one line up.
void use_distributor(const Gic& gic) {
  const Device& device = gic.device();
  constexpr std::uint32_t kDist = kvm_ioctls::kVgicDistRegs;
  set32(device, kDist, 0x000, gic.version() == GicVersion::kV3 ? 0x12 : 1);
  set32(device, kDist, 0x104, 0x00ff'00ff);  // interrupts 32 on: enabled
  set32(device, kDist, 0x204, 0x0000'0100);  // pending
  set32(device, kDist, 0x304, 0x0000'0002);  // active
  set32(device, kDist, 0x420, 0xa0b0'c0d0);  // priorities
  set32(device, kDist, 0xc08, 0x0000'aaaa);  // edges
}

TEST_CASE("a GIC is made of the version that the host has, once, for so many vCPUs") {
  const sys_util::Mapping memory = ram();
  const bool v3 = has_gic(GicVersion::kV3);
  const Machine machine(memory);
  CHECK(machine.gic->version() == (v3 ? GicVersion::kV3 : GicVersion::kV2));
  CHECK(machine.gic->has_its() == v3);
  CHECK(machine.gic->vcpus() == 2);
  CHECK_FALSE(Gic::create(machine.vm, {.vcpus = 2}));
  const Vm other = *System::open()->create_vm();
  const auto many = Gic::create(other, {.vcpus = 513});
  REQUIRE_FALSE(many);
  CHECK(is(many.error(), SetupError::kTooManyVcpus));
  if (!v3) {
    const auto absent = Gic::create(other, {.vcpus = 1, .version = GicVersion::kV3});
    REQUIRE_FALSE(absent);
    CHECK(is(absent.error(), SetupError::kNoGic));
  }
}

TEST_CASE("a vCPU starts with the registers of booting, and has what the host offers") {
  const Vm vm = *System::open()->create_vm();
  const VcpuFeatures features = host_features(vm);
  const Vcpu vcpu = *vm.create_vcpu(0);
  REQUIRE(set_up_vcpu(vcpu, *vcpu_init(vm, features, false)));
  const BootRegisters boot = linux_registers(GuestAddress(0x4040'0000), GuestAddress(0x4000'0000));
  REQUIRE(set_registers(vcpu, boot));
  CHECK(*vcpu.get_reg(kvm_ioctls::kArm64Pc) == 0x4040'0000);
  CHECK(*vcpu.get_reg(kvm_ioctls::kArm64Pstate) == 0x3c5);
  CHECK(*vcpu.get_reg(kvm_ioctls::arm64_x(0)) == 0x4000'0000);
  CHECK(*vcpu.get_reg(kvm_ioctls::arm64_x(3)) == 0);
  CHECK(*vcpu.mp_state() == kvm_ioctls::MpState::kRunnable);
  const Vcpu second = *vm.create_vcpu(1);
  REQUIRE(set_up_vcpu(second, *vcpu_init(vm, features, true)));
  CHECK(*second.mp_state() == kvm_ioctls::MpState::kStopped);
  const auto gic = Gic::create(vm, {.vcpus = 2});
  REQUIRE(gic);
  if (features.pmu) CHECK(start_pmu(vcpu));
}

TEST_CASE("a memory map beyond the host's addresses is refused") {
  const auto vm = create_vm(*System::open(), GuestAddress(std::uint64_t{1} << 51));
  if (!vm) CHECK(is(vm.error(), SetupError::kTooManyAddressBits));
}

TEST_CASE("a GICv3's state goes into a new one and comes out the same") {
  if (!has_gic(GicVersion::kV3)) return;
  const sys_util::Mapping memory = ram();
  const Machine first(memory);
  const Device& device = first.gic->device();
  use_distributor(*first.gic);
  constexpr std::uint64_t kSecond = std::uint64_t{1} << 32;      // affinity of vCPU 1
  set32(device, kvm_ioctls::kVgicDistRegs, 0x6000 + 8 * 40, 1);  // interrupt 40 to vCPU 1
  set32(device, kvm_ioctls::kVgicRedistRegs, kSecond | 0x10100, 0x0800'ffff);
  set32(device, kvm_ioctls::kVgicRedistRegs, kSecond | 0x10200, 0x0000'0005);
  set32(device, kvm_ioctls::kVgicDistRegs, 0xc10, 0);  // interrupts 64 on by level
  set32(device, kvm_ioctls::kVgicLevelInfo, 64, 0x0000'8001);
  constexpr std::uint64_t kPmr = 3 << 14 | 4 << 7 | 6 << 3;
  set64(device, kvm_ioctls::kVgicCpuSysRegs, kSecond | kPmr, 0xf0);
  const auto state = save_gic(*first.gic);
  if (!state) FAIL(to_string(state.error()));
  CHECK(state->interrupts == kFirstSpi + kSpiCount);
  CHECK(state->cpus.size() == 2);
  CHECK(state->cpus[0] != state->cpus[1]);

  const Machine second(memory);
  const auto fresh = save_gic(*second.gic);
  REQUIRE(fresh);
  CHECK(*fresh != *state);
  const auto done = restore_gic(*second.gic, *state);
  if (!done) FAIL(to_string(done.error()));
  const auto again = save_gic(*second.gic);
  REQUIRE(again);
  CHECK(*again == *state);
  CHECK(get32(second.gic->device(), kvm_ioctls::kVgicDistRegs, 0x104) == 0x00ff'00ff);
  CHECK(get32(second.gic->device(), kvm_ioctls::kVgicLevelInfo, 64) == 0x0000'8001);
  // Back to how a new one is, over what is there: nothing of the old state stays.
  REQUIRE(restore_gic(*second.gic, *fresh));
  CHECK(*save_gic(*second.gic) == *fresh);
}

TEST_CASE("a GICv2's state goes into a new one and comes out the same") {
  if (!has_gic(GicVersion::kV2)) return;
  const sys_util::Mapping memory = ram();
  const Machine first(memory, GicVersion::kV2);
  const Device& device = first.gic->device();
  use_distributor(*first.gic);
  constexpr std::uint64_t kSecond = std::uint64_t{1} << 32;
  set32(device, kvm_ioctls::kVgicDistRegs, 0x828, 0x0202'0201);            // targets of 40 to 43
  set32(device, kvm_ioctls::kVgicDistRegs, kSecond | 0xf20, 0x0000'0100);  // an SGI from vCPU 0
  set32(device, kvm_ioctls::kVgicCpuRegs, kSecond | 0x04, 0xf0);
  const auto state = save_gic(*first.gic);
  if (!state) FAIL(to_string(state.error()));
  const Machine second(memory, GicVersion::kV2);
  const auto fresh = save_gic(*second.gic);
  REQUIRE(fresh);
  CHECK(*fresh != *state);
  const auto done = restore_gic(*second.gic, *state);
  if (!done) FAIL(to_string(done.error()));
  CHECK(*save_gic(*second.gic) == *state);
  CHECK(get32(second.gic->device(), kvm_ioctls::kVgicDistRegs, 0x828) == 0x0202'0201);
}

TEST_CASE("a state of another GIC, or a damaged one, is refused before anything is written",
          "[hostile]") {
  const sys_util::Mapping memory = ram();
  const Machine machine(memory);
  const GicState good = *save_gic(*machine.gic);
  use_distributor(*machine.gic);
  const GicState used = *save_gic(*machine.gic);
  const auto refused = [&](const char* what, auto damage) {
    GicState bad = good;
    damage(bad);
    INFO(what);
    const auto answer = restore_gic(*machine.gic, bad);
    REQUIRE_FALSE(answer);
    CHECK(is(answer.error(), SetupError::kBadGicState));
  };
  refused("version", [](GicState& s) {
    s.version = s.version == GicVersion::kV3 ? GicVersion::kV2 : GicVersion::kV3;
  });
  refused("interrupts", [](GicState& s) { s.interrupts += 32; });
  refused("no CPUs", [](GicState& s) { s.cpus.clear(); });
  refused("one CPU more", [](GicState& s) { s.cpus.push_back(s.cpus[0]); });
  refused("a short distributor", [](GicState& s) { s.distributor.pop_back(); });
  refused("a long distributor", [](GicState& s) { s.distributor.push_back(0); });
  refused("no registers", [](GicState& s) { s.cpus[1].registers.clear(); });
  refused("no interface", [](GicState& s) { s.cpus[1].interface.clear(); });
  refused("a long interface", [](GicState& s) { s.cpus[0].interface.push_back(0); });
  refused("an ITS too few or too many", [](GicState& s) {
    if (s.its) {
      s.its.reset();
    } else {
      s.its.emplace();
    }
  });
  refused("nothing", [](GicState& s) { s = GicState(); });
  CHECK(*save_gic(*machine.gic) == used);
}

// Where the guest of the next test put its tables, from the start of RAM.
constexpr std::uint64_t kCommands = 0x10'0000;
constexpr std::uint64_t kDevices = 0x11'0000;
constexpr std::uint64_t kCollections = 0x12'0000;
constexpr std::uint64_t kProperties = 0x13'0000;
constexpr std::uint64_t kPending = 0x14'0000;  // 64 KiB for each vCPU
constexpr std::uint64_t kEvents = 0x16'0000;

constexpr std::uint32_t kDeviceId = 8;
constexpr std::uint32_t kLpi = 8200;

std::uint64_t at(std::uint64_t offset) { return kRamStart.raw() + offset; }

// The commands that give event 3 of a device to vCPU 1 as interrupt kLpi.
void write_commands(const sys_util::Mapping& memory) {
  constexpr std::uint64_t kValid = std::uint64_t{1} << 63;
  const std::uint64_t commands[3][4] = {
      {0x08 | std::uint64_t{kDeviceId} << 32, 4, kValid | at(kEvents), 0},  // MAPD, 5 bits
      {0x09, 0, kValid | std::uint64_t{1} << 16 | 7, 0},                    // MAPC 7 to vCPU 1
      {0x0a | std::uint64_t{kDeviceId} << 32, std::uint64_t{kLpi} << 32 | 3, 7, 0}};  // MAPTI
  std::memcpy(memory.data() + kCommands, commands, sizeof(commands));
}

void enable_lpis(const Gic& gic, std::uint64_t cpu) {
  constexpr std::uint32_t kGroup = kvm_ioctls::kVgicRedistRegs;
  const std::uint64_t pending = at(kPending + cpu * 0x1'0000);
  set32(gic.device(), kGroup, cpu << 32 | 0x70, static_cast<std::uint32_t>(at(kProperties)) | 13);
  set32(gic.device(), kGroup, cpu << 32 | 0x74, 0);
  set32(gic.device(), kGroup, cpu << 32 | 0x78, static_cast<std::uint32_t>(pending));
  set32(gic.device(), kGroup, cpu << 32 | 0x7c, 0);
  set32(gic.device(), kGroup, cpu << 32, 1);
}

void use_its(const Machine& machine, const sys_util::Mapping& memory) {
  constexpr std::uint64_t kValid = std::uint64_t{1} << 63;
  constexpr std::uint32_t kGroup = kvm_ioctls::kVgicItsRegs;
  memory.data()[kProperties + kLpi - 8192] = std::byte{0xa1};  // priority 0xa0, enabled
  enable_lpis(*machine.gic, 0);
  enable_lpis(*machine.gic, 1);
  write_commands(memory);
  const Device& its = *machine.gic->its();
  set64(its, kGroup, 0x80, kValid | at(kCommands));
  set64(its, kGroup, 0x100, kValid | at(kDevices) | 2 << 8);  // one page of 64 KiB
  set64(its, kGroup, 0x108, kValid | at(kCollections) | 2 << 8);
  set64(its, kGroup, 0x88, 3 * 32);
  set64(its, kGroup, 0x00, 1);
  set32(machine.gic->device(), kvm_ioctls::kVgicDistRegs, 0, 0x12);
}

bool pending(const sys_util::Mapping& memory) {
  const std::byte byte = memory.data()[kPending + 0x1'0000 + kLpi / 8];
  return (byte >> (kLpi % 8) & std::byte{1}) != std::byte{0};
}

TEST_CASE("an ITS keeps its tables in guest memory and its interrupts pending") {
  if (!has_gic(GicVersion::kV3)) return;
  const sys_util::Mapping memory = ram();
  GicState state;
  const kvm_ioctls::MsiMessage message{
      .address = its(2).base.raw() + 0x1'0040, .data = 3, .device_id = kDeviceId};
  {
    const Machine first(memory);
    use_its(first, memory);
    REQUIRE(first.vm.signal_msi(message));
    auto saved = save_gic(*first.gic);
    if (!saved) FAIL(to_string(saved.error()));
    state = std::move(*saved);
    CHECK(state.its->command_read == 3 * 32);
    CHECK(pending(memory));
  }
  const Machine second(memory);
  const auto done = restore_gic(*second.gic, state);
  if (!done) FAIL(to_string(done.error()));
  memory.data()[kPending + 0x1'0000 + kLpi / 8] = std::byte{0};
  const auto again = save_gic(*second.gic);
  REQUIRE(again);
  CHECK(*again == state);
  CHECK(pending(memory));  // KVM had it from the table
  // The device's event is still known, one of another device is not.
  CHECK(second.vm.signal_msi(message));
  auto unknown = message;
  unknown.device_id = kDeviceId + 1;
  const auto answer = second.vm.signal_msi(unknown);
  CHECK((!answer || !*answer));
}

}  // namespace
}  // namespace vmm::arch::aarch64::kvm

#endif
