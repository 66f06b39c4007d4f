// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What is refused before the kernel sees it: the descriptors here are none, so any answer but
// EBADF was found by the library.

#include <catch2/catch.hpp>
#include <limits>
#include <optional>

#include "answered_ioctls.h"
#include "machine.h"
#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {
namespace {

template <class T>
int os_code(const Result<T>& result) {
  return result || result.error().domain().name != "os" ? 0 : result.error().code();
}

Vcpu closed_vcpu(std::size_t xsave_bytes = 4096) {
  auto vcpu =
      Vcpu::adopt({.fd = UniqueFd(), .run = testing::ram(12288), .xsave_bytes = xsave_bytes});
  REQUIRE(vcpu);
  return std::move(*vcpu);
}

TEST_CASE("lists hold what they have room for and refuse more", "[hostile]") {
  CpuidList list;
  CHECK(list.empty());
  for (std::uint32_t i = 0; i < 256; ++i) {
    CpuidEntry entry{};
    entry.function = i;
    REQUIRE(list.push_back(entry));
  }
  CHECK_FALSE(list.push_back(CpuidEntry{}));
  CHECK(list.size() == 256);
  CHECK(list.entries().back().function == 255);
  const std::vector<CpuidEntry> many(257);
  CHECK(os_code(CpuidList::from(many)) == ENOMEM);
  const auto full = CpuidList::from(std::span(many).first(256));
  REQUIRE(full);
  CHECK(full->size() == 256);
  CHECK_FALSE(list.resize(257));
  CHECK(list.resize(2));
  CHECK(std::distance(list.begin(), list.end()) == 2);
  CHECK(list.entries()[1].function == 1);
  REQUIRE(list.resize(3));
  CHECK(list.entries()[2].function == 0);
}

TEST_CASE("lists compare and drop by their entries") {
  CpuidList list;
  for (std::uint32_t i = 0; i < 6; ++i) {
    CpuidEntry entry{};
    entry.function = i;
    REQUIRE(list.push_back(entry));
  }
  CpuidList other = list;
  CHECK(other == list);
  other.entries()[5].padding[2] = 1;
  CHECK_FALSE(other == list);
  REQUIRE(other.resize(5));
  CHECK_FALSE(other == list);
  REQUIRE(list.resize(5));  // what lies behind the end does not count
  CHECK(other == list);
  list.retain([](const CpuidEntry& entry) { return entry.function % 2 == 1; });
  REQUIRE(list.size() == 2);
  CHECK(list.entries()[0].function == 1);
  CHECK(list.entries()[1].function == 3);
  list.retain([](const CpuidEntry&) { return false; });
  CHECK(list.empty());
}

TEST_CASE("a list's length is its container's, whatever count was written into it", "[hostile]") {
  MsrList list;
  *static_cast<std::uint32_t*>(list.raw()) = 0xffffffff;
  CHECK(list.size() == 256);
  CHECK(list.entries().size() == 256);
  CHECK(list.end() - list.begin() == 256);
  CHECK_FALSE(list.push_back({}));
}

TEST_CASE("a run page that is too small is not adopted", "[hostile]") {
  CHECK(os_code(Vcpu::adopt({.fd = UniqueFd(), .run = sys_util::Mapping()})) == EINVAL);
  CHECK(os_code(Vcpu::adopt({.fd = UniqueFd(), .run = testing::ram(12288), .xsave_bytes = 100})) ==
        EINVAL);
}

TEST_CASE("registers need buffers of their size") {
  const Vcpu vcpu = closed_vcpu();
  std::array<std::byte, 16> buffer{};
  const RegId reg{kRegArchArm64 | kRegSizeU64 | 0x100000};
  CHECK(reg_bytes(reg) == 8);
  CHECK(os_code(vcpu.get_one_reg(reg, std::span(buffer).first(7))) == EINVAL);
  CHECK(os_code(vcpu.set_one_reg(reg, std::span(buffer).first(7))) == EINVAL);
  CHECK(os_code(vcpu.get_one_reg(reg, buffer)) == EBADF);
  CHECK(os_code(vcpu.set_one_reg(reg, buffer)) == EBADF);
}

TEST_CASE("the size of a register is what its id says") {
  struct Row {
    std::uint64_t id;
    std::size_t bytes;
  };
  const Row rows[] = {
      {0, 1},
      {kRegSizeU32, 4},
      {kRegSizeU64, 8},
      {kRegSizeU128, 16},
      {0x0080'0000'0000'0000, 256},
      {0x0090'0000'0000'0000, 0},  // no such size
      {0x00f0'0000'0000'0000, 0},
  };
  for (const Row& row : rows) CHECK(reg_bytes(RegId{row.id}) == row.bytes);
  const Vcpu vcpu = closed_vcpu();
  std::vector<std::byte> huge(1 << 16);
  CHECK(os_code(vcpu.get_one_reg(RegId{0x00f0'0000'0000'0000}, huge)) == EINVAL);
}

TEST_CASE("register ids of other architectures are those of their kernels") {
  // PC of aarch64 is at byte 256 of user_pt_regs; MIDR_EL1 is (3, 0, 0, 0, 0).
  CHECK(arm64_core_reg(256) == RegId{0x6030'0000'0010'0040});
  CHECK(arm64_sys_reg({.op0 = 3, .op1 = 0, .crn = 0, .crm = 0, .op2 = 0}) ==
        RegId{0x6030'0000'0013'c000});
  CHECK(arm64_sys_reg({.op0 = 3, .op1 = 3, .crn = 14, .crm = 3, .op2 = 1}) ==
        RegId{0x6030'0000'0013'df19});
  CHECK(riscv64_reg(RiscvRegClass::kCore, 0) == RegId{0x8030'0000'0200'0000});
}

TEST_CASE("an aarch64 interrupt number packs kind, vCPU and number") {
  CHECK(arm_gsi({.kind = ArmIrqKind::kSpi, .number = 32}) == Gsi{0x01000020});
  CHECK(arm_gsi({.kind = ArmIrqKind::kPpi, .vcpu = 0, .number = 16}) == Gsi{0x02000010});
  CHECK(arm_gsi({.kind = ArmIrqKind::kPpi, .vcpu = 3, .number = 27}) == Gsi{0x0203001b});
  CHECK(arm_gsi({.kind = ArmIrqKind::kCpu, .vcpu = 1, .number = 0}) == Gsi{0x00010000});
  CHECK(arm_gsi({.kind = ArmIrqKind::kPpi, .vcpu = 0x1ff, .number = 27}) == Gsi{0x12ff001b});
}

TEST_CASE("an ioeventfd's length is its match's size") {
  CHECK(IoEventMatch::any().bytes() == 0);
  CHECK_FALSE(IoEventMatch::any().value());
  CHECK(IoEventMatch::any_of_size(4).bytes() == 4);
  CHECK(IoEventMatch::value(std::uint8_t{1}).bytes() == 1);
  CHECK(IoEventMatch::value(std::uint16_t{1}).bytes() == 2);
  CHECK(IoEventMatch::value(std::uint32_t{1}).bytes() == 4);
  CHECK(IoEventMatch::value(std::uint64_t{1}).bytes() == 8);
  CHECK(IoEventMatch::value(std::uint64_t{7}).value() == 7);
}

TEST_CASE("routes carry their destination in the kernel's layout") {
  const IrqRoute pin = IrqRoute::to_chip(Gsi{3}, {.chip = IrqRoute::kIoapic, .pin = 9});
  CHECK((pin.gsi == 3 && pin.type == 1 && pin.target[0] == 2 && pin.target[1] == 9));
  const IrqRoute msi =
      IrqRoute::to_msi(Gsi{24}, {.address = 0x1'fee00000, .data = 0x4021, .device_id = 8});
  CHECK((msi.type == 2 && msi.flags == 1));
  CHECK((msi.target[0] == 0xfee00000 && msi.target[1] == 1 && msi.target[2] == 0x4021 &&
         msi.target[3] == 8));
  CHECK(IrqRoute::to_msi(Gsi{24}, {.address = 0, .data = 0}).flags == 0);
  CHECK(IrqRoute::to_hyperv_sint(Gsi{5}, {.vcpu = 1, .sint = 2}).type == 4);
  CHECK(IrqRoute::to_xen(Gsi{5}, {.port = 1, .vcpu = 2, .priority = 3}).type == 5);
  const Vm vm = Vm::adopt(UniqueFd(), 12288);
  const std::vector<IrqRoute> many(4097);
  CHECK(os_code(vm.set_gsi_routing(many)) == E2BIG);
}

TEST_CASE("a dirty ring's size is a power of two") {
  const Vm vm = Vm::adopt(UniqueFd(), 12288);
  const Vcpu vcpu = closed_vcpu();
  for (const std::uint32_t entries : {0u, 3u, 1000u, 0xffffffffu}) {
    CHECK(os_code(vm.enable_dirty_ring(entries)) == EINVAL);
    CHECK(os_code(vcpu.map_dirty_ring(entries)) == EINVAL);
  }
}

#if defined(__x86_64__)

TEST_CASE("what the run page says beside the exit is read, and asked for, in its place") {
  auto run = testing::ram(12288);
  std::byte* const page = run.data();  // struct kvm_run
  auto vcpu = Vcpu::adopt({.fd = UniqueFd(), .run = std::move(run), .xsave_bytes = 4096});
  REQUIRE(vcpu);
  CHECK(vcpu->run_flags() == 0);
  CHECK_FALSE(vcpu->ready_for_interrupt());
  page[12] = std::byte{1};
  page[14] = std::byte{Vcpu::kRunSmm | Vcpu::kRunGuestMode};
  CHECK(vcpu->ready_for_interrupt());
  CHECK(vcpu->run_flags() == (Vcpu::kRunSmm | Vcpu::kRunGuestMode));
  vcpu->request_interrupt_window(true);
  CHECK(page[0] == std::byte{1});
  vcpu->request_interrupt_window(false);
  CHECK(page[0] == std::byte{0});
}

TEST_CASE("a CPUID query beyond the list's room fails with ENOMEM before the ioctl") {
  const System system = System::adopt(UniqueFd());
  CHECK(os_code(system.supported_cpuid(257)) == ENOMEM);
  CHECK(os_code(system.supported_cpuid(256)) == EBADF);
  CHECK(os_code(system.emulated_cpuid(257)) == ENOMEM);
  CHECK(os_code(system.supported_cpuid(std::numeric_limits<std::size_t>::max())) == ENOMEM);
  const Vcpu vcpu = closed_vcpu();
  CHECK(os_code(vcpu.get_cpuid2(257)) == ENOMEM);
  CHECK(os_code(vcpu.get_cpuid2(256)) == EBADF);
}

TEST_CASE("an extended state shorter than KVM would read is refused", "[hostile]") {
  const std::vector<std::byte> legacy(4096);
  CHECK(os_code(closed_vcpu(4096).set_xsave(legacy)) == EBADF);
  CHECK(os_code(closed_vcpu(11008).set_xsave(legacy)) == EINVAL);
  CHECK(os_code(closed_vcpu().set_xsave(std::span(legacy).first(4095))) == EINVAL);
}

TEST_CASE("a nested state whose size contradicts its structure is refused", "[hostile]") {
  const Vcpu vcpu = closed_vcpu();
  NestedState state{};
  for (const std::uint32_t size : {0u, 127u, 8321u, 0xffffffffu}) {
    state.size = size;
    CHECK(os_code(vcpu.set_nested_state(state)) == EINVAL);
  }
  state.size = 8320;
  CHECK(os_code(vcpu.set_nested_state(state)) == EBADF);
}

TEST_CASE("an MSR filter has at most 16 ranges, each with a bit for every MSR", "[hostile]") {
  const Vm vm = Vm::adopt(UniqueFd(), 12288);
  const std::uint8_t bits[2] = {};
  std::vector<MsrFilterRange> ranges(17);
  CHECK(os_code(vm.set_msr_filter({.ranges = ranges})) == EINVAL);
  const auto one = [&](std::uint32_t count, std::size_t bytes) {
    const MsrFilterRange range{.flags = MsrFilterRange::kRead,
                               .base = 0,
                               .count = count,
                               .allowed = std::span(bits).first(bytes)};
    return os_code(vm.set_msr_filter({.ranges = std::span(&range, 1)}));
  };
  CHECK(one(8, 1) == EBADF);
  CHECK(one(9, 1) == EINVAL);
  CHECK(one(9, 2) == EBADF);
  CHECK(one(0xffffffff, 2) == EINVAL);
}

TEST_CASE("a filter of performance events has at most 300 events") {
  const Vm vm = Vm::adopt(UniqueFd(), 12288);
  const std::vector<std::uint64_t> events(301);
  CHECK(os_code(vm.set_pmu_event_filter({.events = events})) == E2BIG);
  CHECK(os_code(vm.set_pmu_event_filter({.events = std::span(events).first(300)})) == EBADF);
}

TEST_CASE("APIC registers lie inside of their page", "[hostile]") {
  Lapic lapic{};
  CHECK(lapic.set(Lapic::kIcrLow, 2));
  CHECK(lapic.get(Lapic::kIcrLow) == 2);
  CHECK(lapic.set(0x3fc, 1));
  CHECK_FALSE(lapic.set(0x3fd, 1));
  CHECK_FALSE(lapic.set(std::numeric_limits<std::size_t>::max(), 1));
  CHECK(lapic.get(0x400) == 0);
  CHECK(lapic.get(std::numeric_limits<std::size_t>::max() - 1) == 0);
}

#endif

TEST_CASE("another version of the interface is refused", "[hostile]") {
  constexpr std::uint8_t kKvm = 0xae;  // the type of its requests
  for (const int version : {11, 13}) {
    CAPTURE(version);
    bool opened = true;
    std::optional<Error> error;
    const bool here = vmm::testing::with_answers(
        kKvm, [&](const vmm::testing::AskedIoctl&) { return version; },
        [&] {
          const auto system = System::open({.path = "/dev/null"});
          opened = system.has_value();
          if (!opened) error = system.error();
        });
    if (!here) {
      WARN("skipped: this kernel has no user notifications of seccomp");
      return;
    }
    CHECK_FALSE(opened);
    REQUIRE(error);
    CHECK(error->domain().name == "kvm");
    CHECK(error->code() == static_cast<int>(KvmError::kApiVersion));
  }
}

}  // namespace
}  // namespace vmm::kvm_ioctls
