// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vmm::reference {

/// What is there of a VM.
///
///   kAbsent --create--> kCreated --boot--> kRunning <--pause, resume--> kPaused
///      ^                    ^                  |                          |
///      +------delete--------+----shutdown------+--------shutdown----------+
enum class VmState : std::uint8_t {
  kAbsent,   ///< no configuration
  kCreated,  ///< a configuration and open consoles; its devices are not open
  kRunning,
  kPaused,  ///< vCPUs and the VMM's device threads stand still
};
inline constexpr std::size_t kVmStates = 4;

/// What can be asked of a VM. ("Ping" and "shut the VMM down" do not ask it anything.)
enum class VmCall : std::uint8_t {
  kInfo,
  kCounters,
  kCreate,
  kBoot,
  kDelete,
  kPause,
  kResume,
  kShutdown,
  kReboot,
  kPowerButton,
  kNmi,
  kResize,
  kResizeDisk,
  kAddDevice,
  kRemoveDevice,
};
inline constexpr std::size_t kVmCalls = 15;

/// Why a call is refused in a state.
enum class Refusal : std::uint8_t {
  kNotCreated,  ///< there is no configuration: the client named something that is not there
  kNotRunning,  ///< there is a configuration, but no VM that runs or could go on
  kNotBooted,   ///< the same, told as kNotCreated is
  kAlreadyCreated,
  kAlreadyRunning,
  kAlreadyPaused,
  kNotPaused,
};

/// What becomes of a call.
struct Verdict {
  std::optional<Refusal> refusal{};  ///< nullopt: it is carried out
  VmState next = VmState::kAbsent;   ///< the state after it succeeded
};

/// The whole state machine.
[[nodiscard]] Verdict judge(VmCall call, VmState state);

/// The state's name for clients; there is none for kAbsent.
[[nodiscard]] std::string_view name_of(VmState state);
/// A phrase.
[[nodiscard]] std::string_view text_of(Refusal refusal);
/// The phrase that says that the call failed.
[[nodiscard]] std::string_view failure_of(VmCall call);

}  // namespace vmm::reference
