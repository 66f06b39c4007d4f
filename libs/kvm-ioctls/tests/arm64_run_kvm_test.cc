// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <bit>
#include <catch2/catch.hpp>

#include "machine.h"

namespace vmm::kvm_ioctls {
namespace {

using testing::Machine;
using testing::needs;

// Words of guest code.
constexpr std::uint32_t kX1Device = 0xd2a12001;  // mov x1, #0x9000000, where no memory is
constexpr std::uint32_t kHvc = 0xd4000002;
constexpr std::uint32_t kSmc = 0xd4000003;
constexpr std::uint32_t kNop = 0xd503201f;
constexpr std::uint32_t kBrk = 0xd4200000;
constexpr std::uint32_t kLoop = 0x14000000;         // b .
constexpr std::uint32_t kStoreDevice = 0xb900003f;  // str wzr, [x1]
constexpr std::uint32_t kLoadPair = 0xa9400c22;     // ldp x2, x3, [x1]
constexpr std::uint32_t kX1Ram = 0xd2840001;        // mov x1, #0x2000
constexpr std::uint32_t kStoreByte = 0x3900003f;    // strb wzr, [x1]
constexpr std::uint32_t kPsciHigh = 0x72b08000;     // movk w0, #0x8400, lsl #16
constexpr std::uint32_t kVendorHigh = 0x72b86000;   // movk w0, #0xc300, lsl #16
constexpr std::uint32_t mov_w0(std::uint32_t value) { return 0x52800000 | value << 5; }

template <class T>
T next(Vcpu& vcpu) {
  const auto exit = vcpu.run();
  REQUIRE(exit);
  INFO(name_of(*exit));
  REQUIRE(std::holds_alternative<T>(*exit));
  return std::get<T>(*exit);
}

TEST_CASE("stores and loads where no memory is come out decoded") {
  Machine machine;
  Vcpu vcpu = machine.load({kX1Device, mov_w0(0x35),
                            0x39000020,    // strb w0, [x1]
                            0x39401022,    // ldrb w2, [x1, #4]
                            0xf9000422,    // str x2, [x1, #8]
                            0xb9401023});  // ldr w3, [x1, #16]
  const auto byte = next<exits::MmioWrite>(vcpu);
  CHECK(byte.address == GuestAddress(0x9000000));
  REQUIRE(byte.data.size() == 1);
  CHECK(byte.data[0] == std::byte{0x35});
  const auto load = next<exits::MmioRead>(vcpu);
  CHECK(load.address == GuestAddress(0x9000004));
  REQUIRE(load.data.size() == 1);
  load.data[0] = std::byte{0xa5};
  const auto word = next<exits::MmioWrite>(vcpu);
  REQUIRE(word.data.size() == 8);
  CHECK(word.data[0] == std::byte{0xa5});
  CHECK(word.data[1] == std::byte{0});
  CHECK(next<exits::MmioRead>(vcpu).data.size() == 4);
}

TEST_CASE("a pending load is completed without running the guest") {
  Machine machine;
  Vcpu vcpu = machine.load({kX1Device, 0x39401022, kLoop});
  next<exits::MmioRead>(vcpu).data[0] = std::byte{0x5a};
  const auto done = vcpu.complete_pending_io();
  REQUIRE(done);
  CHECK_FALSE(done->has_value());
  CHECK(*vcpu.get_reg(arm64_x(2)) == 0x5a);
  CHECK(*vcpu.get_reg(kArm64Pc) == Machine::kCode + 8);
}

TEST_CASE("PSCI's off and reset are system events with their data") {
  struct Row {
    std::uint32_t function, type;
  };
  for (const Row& row :
       {Row{8, exits::SystemEvent::kShutdown}, Row{9, exits::SystemEvent::kReset}}) {
    Machine machine;
    Vcpu vcpu = machine.load({mov_w0(row.function), kPsciHigh, kHvc, kLoop});
    const auto event = next<exits::SystemEvent>(vcpu);
    CHECK(event.type == row.type);
    REQUIRE_FALSE(event.data.empty());
    CHECK(event.data[0] == 0);
  }
}

TEST_CASE("PSCI starts a vCPU that was made powered off") {
  Machine machine;
  Vcpu boot = machine.load({mov_w0(3), 0x72b88000,  // CPU_ON, 64 bits
                            0xd2800021,             // mov x1, #1: which one
                            0xd2820402,             // mov x2, #0x1020: where
                            0xd2800ee3,             // mov x3, #0x77: its x0
                            kHvc, kX1Device, kStoreDevice, kX1Device, kStoreDevice});
  const Vcpu made = *machine.vm.create_vcpu(1);
  VcpuInit init = *machine.vm.preferred_target();
  init.enable(VcpuInit::kPsci02);
  init.enable(VcpuInit::kPowerOff);
  REQUIRE(made.init(init));
  CHECK(*made.mp_state() == MpState::kStopped);
  CHECK(next<exits::MmioWrite>(boot).address == GuestAddress(0x9000000));
  CHECK(*made.mp_state() == MpState::kRunnable);
  REQUIRE(made.set_mp_state(MpState::kStopped));
  CHECK(*made.mp_state() == MpState::kStopped);
}

TEST_CASE("the dirty log has the one page that the guest wrote") {
  Machine machine(1);
  Vcpu vcpu = machine.load({kX1Ram, kStoreByte, kX1Device, kStoreDevice});
  MemorySlots slots = *machine.vm.memory_slots();
  REQUIRE(machine.vm.set_memory_region({.slot = SlotId{0}, .address = GuestAddress(0)}));
  const auto slot = slots.add(
      {.address = GuestAddress(0), .host = machine.memory.bytes(), .log_dirty_pages = true},
      nullptr);
  REQUIRE(slot);
  CHECK(next<exits::MmioWrite>(vcpu).address == GuestAddress(0x9000000));
  CHECK(*slot->dirty_log() == std::vector<std::uint64_t>{1u << 2});
  CHECK(*slot->dirty_log() == std::vector<std::uint64_t>{0});
}

TEST_CASE(
    "an access that cannot be decoded is an exit once it was asked for, and can be answered") {
  Machine machine;
  if (!needs(machine.vm.has(Cap::kArmNisvToUser), "KVM_CAP_ARM_NISV_TO_USER")) return;
  REQUIRE(machine.vm.enable_cap({.cap = Cap::kArmNisvToUser}));
  Vcpu vcpu = machine.load({kX1Device, kLoadPair, kLoop});
  const auto exit = next<exits::ArmNisv>(vcpu);
  CHECK(exit.fault_address == GuestAddress(0x9000000));
  // An external abort, as a board would give: the guest goes on at its vector for them.
  REQUIRE(vcpu.set_reg(arm64_sys_reg({.op0 = 3, .op1 = 0, .crn = 12, .crm = 0, .op2 = 0}), 0x2000));
  const std::uint32_t vector[] = {kX1Device, kStoreDevice};
  std::memcpy(machine.memory.data() + 0x2200, vector, sizeof(vector));
  Arm64VcpuEvents events{};
  events.ext_dabt_pending = 1;
  REQUIRE(vcpu.set_vcpu_events(events));
  CHECK(next<exits::MmioWrite>(vcpu).data.size() == 4);
  CHECK(*vcpu.get_reg(kArm64Pc) == 0x2204);
}

constexpr std::uint32_t kClassShift = 26;  // of ESR_EL2

TEST_CASE("single-stepping stops at the next instruction") {
  Machine machine;
  Vcpu vcpu = machine.load({kNop, kNop, kLoop});
  Arm64GuestDebug debug{};
  debug.control = Arm64GuestDebug::kEnable | Arm64GuestDebug::kSingleStep;
  REQUIRE(vcpu.set_guest_debug(debug));
  CHECK(next<exits::Debug>(vcpu).exception >> kClassShift == 0x32);
  CHECK(*vcpu.get_reg(kArm64Pc) == Machine::kCode + 4);
}

TEST_CASE("a breakpoint instruction is an exit once it was asked for") {
  Machine machine;
  Vcpu vcpu = machine.load({kNop, kBrk, kLoop});
  Arm64GuestDebug debug{};
  debug.control = Arm64GuestDebug::kEnable | Arm64GuestDebug::kSoftwareBreakpoints;
  REQUIRE(vcpu.set_guest_debug(debug));
  CHECK(next<exits::Debug>(vcpu).exception >> kClassShift == 0x3c);
  CHECK(*vcpu.get_reg(kArm64Pc) == Machine::kCode + 4);
  debug.control = 1u << 30;
  CHECK(vcpu.set_guest_debug(debug).error().is_os(EINVAL));
}

TEST_CASE("an SMCCC call that is filtered to us comes out with its registers") {
  Machine machine;
  SmcccFilter filter{.base = 0xc3001234, .count = 1, .action = SmcccFilter::Action::kForwardTo};
  const auto set = machine.vm.set_smccc_filter(filter);
  CHECK(set.has_value() == machine.vm.has_attr({.group = 0, .attr = 0}));
  if (!needs(set.has_value(), "SMCCC filter")) return;
  CHECK(machine.vm.set_smccc_filter(filter).error().is_os(EEXIST));
  Vcpu vcpu = machine.load({mov_w0(0x1234), kVendorHigh, kSmc, kLoop});
  const auto call = next<exits::Hypercall>(vcpu);
  CHECK(call.number == 0xc3001234);
  CHECK(call.by_smc);
  CHECK_FALSE(call.long_mode);
}

TEST_CASE("an immediate exit comes back without running the guest") {
  Machine machine;
  Vcpu vcpu = machine.load({kLoop});
  vcpu.set_immediate_exit(true);
  next<exits::Interrupted>(vcpu);
  CHECK(*vcpu.get_reg(kArm64Pc) == Machine::kCode);
}

}  // namespace
}  // namespace vmm::kvm_ioctls
