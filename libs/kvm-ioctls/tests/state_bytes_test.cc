// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/state_bytes.h"

#include <catch2/catch.hpp>
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
