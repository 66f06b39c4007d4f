// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vm_state.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <string_view>

namespace vmm::reference {
namespace {

using enum VmState;

// One letter a state (absent, created, running, paused): the state after the call, or why not.
struct Case {
  VmCall call;
  std::string_view in[kVmStates];
};

std::string word(const Verdict& verdict) {
  if (!verdict.refusal) {
    constexpr const char* kNames[] = {"absent", "created", "running", "paused"};
    return kNames[static_cast<std::size_t>(verdict.next)];
  }
  switch (*verdict.refusal) {
    case Refusal::kNotCreated:
      return "no config";
    case Refusal::kNotRunning:
      return "no vm";
    case Refusal::kNotBooted:
      return "no machine";
    case Refusal::kAlreadyCreated:
      return "exists";
    case Refusal::kAlreadyRunning:
      return "runs";
    case Refusal::kAlreadyPaused:
      return "stands";
    case Refusal::kNotPaused:
      return "not paused";
  }
  return "";
}

TEST_CASE("state machine: every call in every state", "[vm-state]") {
  using enum VmCall;
  const Case cases[] = {
      {kInfo, {"no config", "created", "running", "paused"}},
      {kCounters, {"no vm", "no vm", "running", "paused"}},
      {kCreate, {"created", "exists", "exists", "exists"}},
      {kBoot, {"no config", "running", "runs", "runs"}},
      {kDelete, {"absent", "absent", "absent", "absent"}},
      {kPause, {"no vm", "no vm", "paused", "stands"}},
      {kResume, {"no vm", "no vm", "not paused", "running"}},
      {kShutdown, {"no vm", "no vm", "created", "created"}},
      {kReboot, {"no config", "no machine", "running", "running"}},
      {kPowerButton, {"no vm", "no vm", "running", "paused"}},
      {kNmi, {"no vm", "no vm", "running", "paused"}},
      {kResize, {"no config", "created", "running", "paused"}},
      {kResizeDisk, {"no config", "no vm", "running", "paused"}},
      {kAddDevice, {"no config", "created", "running", "paused"}},
      {kRemoveDevice, {"no config", "created", "running", "paused"}},
  };
  std::set<VmCall> seen;
  for (const Case& c : cases) {
    CHECK(seen.insert(c.call).second);
    for (std::size_t state = 0; state < kVmStates; ++state) {
      INFO(failure_of(c.call) << " in state " << state);
      CHECK(word(judge(c.call, static_cast<VmState>(state))) == c.in[state]);
    }
  }
  CHECK(seen.size() == kVmCalls);
}

TEST_CASE("state machine: states, refusals and calls have names of their own", "[vm-state]") {
  CHECK(name_of(kAbsent).empty());
  CHECK(name_of(kCreated) == "Created");
  CHECK(name_of(kRunning) == "Running");
  CHECK(name_of(kPaused) == "Paused");
  std::set<std::string_view> texts;
  for (std::size_t i = 0; i < kVmCalls; ++i) texts.insert(failure_of(static_cast<VmCall>(i)));
  CHECK(texts.size() == kVmCalls);
  for (std::size_t i = 0; i < 7; ++i) texts.insert(text_of(static_cast<Refusal>(i)));
  CHECK(texts.size() == kVmCalls + 7);
}

// What clients of cloud-hypervisor look for to pause or resume a VM whatever it is.
TEST_CASE("state machine: a state that the VM has already is told in cloud-hypervisor's words",
          "[vm-state]") {
  const auto told = [](VmCall call, VmState state) {
    const Verdict verdict = judge(call, state);
    REQUIRE(verdict.refusal);
    return text_of(*verdict.refusal);
  };
  CHECK(told(VmCall::kPause, kPaused)
            .find("Invalid transition: InvalidStateTransition(Paused, Paused)") !=
        std::string_view::npos);
  CHECK(told(VmCall::kResume, kRunning)
            .find("Invalid transition: InvalidStateTransition(Running, Running)") !=
        std::string_view::npos);
}

}  // namespace
}  // namespace vmm::reference
