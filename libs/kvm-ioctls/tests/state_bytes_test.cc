// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/state_bytes.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "vmm/kvm_ioctls/x86_state.h"

namespace vmm::kvm_ioctls {
namespace {

// All that a snapshot of a vCPU and of a VM holds.
static_assert(PlainState<Regs> && PlainState<Sregs> && PlainState<Sregs2> && PlainState<Fpu>);
static_assert(PlainState<Lapic> && PlainState<MsrEntry> && PlainState<CpuidEntry>);
static_assert(PlainState<VcpuEvents> && PlainState<DebugRegs> && PlainState<Xcrs>);
static_assert(PlainState<Xsave> && PlainState<NestedState>);
static_assert(PlainState<IrqChip> && PlainState<PitState> && PlainState<ClockData>);
static_assert(!PlainState<CpuidList> && !PlainState<void*>);

DebugRegs some_state() {
  DebugRegs state{};
  state.db[0] = 0x1122'3344'5566'7788;
  state.dr6 = 0xffff'0ff0;
  state.dr7 = 0x400;
  state.reserved[8] = 0x99;
  return state;
}

TEST_CASE("a nested state is nothing only when no VMXON and no guest of its own is in it") {
  constexpr std::uint64_t kNone = ~std::uint64_t{0};
  constexpr std::uint32_t kHeader = NestedState::kHeaderBytes;
  struct Row {
    std::uint16_t format;  // 0 VMX, 1 SVM
    std::uint16_t flags;
    std::uint32_t size;
    std::uint64_t first;  // the address of VMXON's region, or of a VMCB
    std::uint16_t smm_flags;
    bool initial;
  };
  for (const Row& row : {
           Row{0, 0, kHeader, kNone, 0, true},
           Row{0, 0, kHeader, 0x1000, 0, false},        // VMXON, and no VMCS yet
           Row{0, 0, kHeader, kNone, 2, false},         // VMXON again after RSM
           Row{0, 1, kHeader, kNone, 0, false},         // in its guest
           Row{0, 0, kHeader + 4096, kNone, 0, false},  // with a VMCS
           Row{0, 1 << 8, kHeader, kNone, 0, false},    // a flag of the other vendor
           Row{1, 1 << 8, kHeader, 0, 0, true},
           Row{1, 0, kHeader, 0, 0, false},                   // interrupts held back by CLGI
           Row{1, 1 << 8 | 1, kHeader, 0x1000, 0, false},     // in its guest
           Row{1, 1 << 8, kHeader + 4096, 0x1000, 0, false},  // the same
           Row{2, 0, kHeader, kNone, 0, false},               // of neither
       }) {
    NestedState state{};
    state.format = row.format;
    state.flags = row.flags;
    state.size = row.size;
    std::memcpy(state.header, &row.first, sizeof(row.first));
    std::memcpy(state.header + 16, &row.smm_flags, sizeof(row.smm_flags));
    CAPTURE(row.format, row.flags, row.size, row.first, row.smm_flags);
    CHECK(state.is_initial() == row.initial);
  }
}

TEST_CASE("state comes back from its bytes") {
  const auto bytes = to_bytes(some_state());
  CHECK(bytes.size() == sizeof(DebugRegs));
  CHECK(bytes[0] == std::byte{0x88});
  CHECK(from_bytes<DebugRegs>(bytes).dr7 == 0x400);
  CHECK(to_bytes(from_bytes<DebugRegs>(bytes)) == bytes);
}

TEST_CASE("state of any length is padded with zeros or cut", "[hostile]") {
  const auto whole = to_bytes(some_state());
  for (std::size_t n = 0; n <= 2 * whole.size(); ++n) {
    INFO(n << " bytes");
    std::vector<std::byte> bytes(whole.begin(), whole.end());
    bytes.resize(n, std::byte{0xee});
    const auto read = to_bytes(from_bytes<DebugRegs>(bytes));
    for (std::size_t i = 0; i < whole.size(); ++i) {
      REQUIRE(read[i] == (i < n ? whole[i] : std::byte{0}));
    }
  }
  CHECK(to_bytes(from_bytes<Regs>({})) == to_bytes(Regs{}));
}

}  // namespace
}  // namespace vmm::kvm_ioctls
