// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>

#include "vmm/kvm_board/vcpu_runner.h"

namespace vmm::kvm_board {
namespace {

using kvm_ioctls::exits::SystemEvent;

TEST_CASE("a reset is only what the guest asked for as one", "[kvm_board]") {
  struct Row {
    std::uint32_t type;
    std::optional<VcpuEnd> end;
  };
  for (const Row& row :
       {Row{0, std::nullopt}, Row{SystemEvent::kShutdown, VcpuEnd::kPowerOff},
        Row{SystemEvent::kReset, VcpuEnd::kReset}, Row{SystemEvent::kCrash, VcpuEnd::kCrashed},
        Row{SystemEvent::kWakeup, std::nullopt}, Row{SystemEvent::kSuspend, std::nullopt},
        Row{SystemEvent::kSevTerm, VcpuEnd::kCrashed},
        Row{SystemEvent::kTdxFatal, VcpuEnd::kCrashed}, Row{8, std::nullopt},
        Row{0xffff'ffff, std::nullopt}}) {
    CAPTURE(row.type);
    CHECK((end_of({.type = row.type, .data = {}}) == row.end));
  }
}

}  // namespace
}  // namespace vmm::kvm_board
