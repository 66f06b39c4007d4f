// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vm_state.h"

#include <array>
#include <cstddef>

namespace vmm::reference {
namespace {

constexpr Verdict to(VmState next) { return {.refusal = std::nullopt, .next = next}; }
constexpr Verdict no(Refusal refusal) { return {.refusal = refusal}; }

constexpr Verdict kGone = to(VmState::kAbsent);
constexpr Verdict kMade = to(VmState::kCreated);
constexpr Verdict kRuns = to(VmState::kRunning);
constexpr Verdict kStands = to(VmState::kPaused);
constexpr Verdict kNoConfig = no(Refusal::kNotCreated);
constexpr Verdict kNoVm = no(Refusal::kNotRunning);
constexpr Verdict kNoMachine = no(Refusal::kNotBooted);

struct Row {
  VmCall call;
  std::string_view failure;
  std::array<Verdict, kVmStates> in;  // by state: absent, created, running, paused
};

constexpr std::array<Row, kVmCalls> kTable{{
    {VmCall::kInfo, "The VM info is not available", {kNoConfig, kMade, kRuns, kStands}},
    {VmCall::kCounters, "The VM counters are not available", {kNoVm, kNoVm, kRuns, kStands}},
    {VmCall::kCreate,
     "The VM could not be created",
     {kMade, no(Refusal::kAlreadyCreated), no(Refusal::kAlreadyCreated),
      no(Refusal::kAlreadyCreated)}},
    {VmCall::kBoot,
     "The VM could not boot",
     {kNoConfig, kRuns, no(Refusal::kAlreadyRunning), no(Refusal::kAlreadyRunning)}},
    {VmCall::kDelete, "The VM could not be deleted", {kGone, kGone, kGone, kGone}},
    {VmCall::kPause,
     "The VM could not be paused",
     {kNoVm, kNoVm, kStands, no(Refusal::kAlreadyPaused)}},
    {VmCall::kResume,
     "The VM could not be resumed",
     {kNoVm, kNoVm, no(Refusal::kNotPaused), kRuns}},
    {VmCall::kShutdown, "The VM could not be shut down", {kNoVm, kNoVm, kMade, kMade}},
    {VmCall::kReboot, "The VM could not be rebooted", {kNoConfig, kNoMachine, kRuns, kRuns}},
    {VmCall::kPowerButton, "The power button could not be pressed", {kNoVm, kNoVm, kRuns, kStands}},
    {VmCall::kNmi, "The NMI could not be sent", {kNoVm, kNoVm, kRuns, kStands}},
    {VmCall::kResize, "The VM could not be resized", {kNoConfig, kMade, kRuns, kStands}},
    {VmCall::kResizeDisk, "The disk could not be resized", {kNoConfig, kNoVm, kRuns, kStands}},
    {VmCall::kAddDevice, "The device could not be added", {kNoConfig, kMade, kRuns, kStands}},
    {VmCall::kRemoveDevice, "The device could not be removed", {kNoConfig, kMade, kRuns, kStands}},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].call) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

Verdict judge(VmCall call, VmState state) {
  return kTable[static_cast<std::size_t>(call)].in[static_cast<std::size_t>(state)];
}

std::string_view name_of(VmState state) {
  switch (state) {
    case VmState::kAbsent:
      break;
    case VmState::kCreated:
      return "Created";
    case VmState::kRunning:
      return "Running";
    case VmState::kPaused:
      return "Paused";
  }
  return "";
}

std::string_view text_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNotCreated:
      return "VM is not created";
    case Refusal::kNotRunning:
      return "VM is not running";
    case Refusal::kNotBooted:
      return "VM is not booted";
    case Refusal::kAlreadyCreated:
      return "VM is already created";
    case Refusal::kAlreadyRunning:
      return "VM is already running";
    // cloud-hypervisor's words for these two are what its clients look for when they pause or
    // resume a VM that may be paused, or running, already.
    case Refusal::kAlreadyPaused:
      return "VM is already paused: Invalid transition: InvalidStateTransition(Paused, Paused)";
    case Refusal::kNotPaused:
      return "VM is not paused: Invalid transition: InvalidStateTransition(Running, Running)";
  }
  return "";
}

std::string_view failure_of(VmCall call) { return kTable[static_cast<std::size_t>(call)].failure; }

}  // namespace vmm::reference
