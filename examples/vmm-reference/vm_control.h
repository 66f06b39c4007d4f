// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config.h"
#include "failure.h"
#include "vm.h"
#include "vm_sizes.h"
#include "vm_state.h"

namespace vmm::reference {

/// Why a call did not succeed, and as what HTTP tells it.
struct CallFailure {
  enum class Kind : std::uint16_t {
    kBadRequest = 400,  ///< what was asked for is wrong in itself
    kNotFound = 404,    ///< it is not there
    kConflict = 409,    ///< it is there already
    kInternal = 500,    ///< it cannot be done now, or not at all
  };

  Kind kind = Kind::kInternal;
  std::string message;
};

[[nodiscard]] inline CallFailure bad_request(std::string message) {
  return {.kind = CallFailure::Kind::kBadRequest, .message = std::move(message)};
}

template <class T>
using CallResult = Result<T, CallFailure>;

/// The life of the VM: what may be done when (vm_state.h), and the events that tell of it.
///
/// Belongs to the loop's thread.
class VmControl {
 public:
  struct Options {
    bool stay_after_power_off = false;  ///< the guest's power-off leaves the VMM running
    bool landlock = false;              ///< for every VM, whatever its configuration says
    std::vector<LandlockRule> landlock_rules = {};  ///< besides those of its configuration
    std::string api_socket = {};                    ///< its path; empty: there is none
    std::function<void()> on_end;                   ///< the process has nothing more to do
  };

  VmControl(const Vm::Host& host, Options options) : host_(host), options_(std::move(options)) {}
  VmControl(const VmControl&) = delete;
  VmControl& operator=(const VmControl&) = delete;

  [[nodiscard]] VmState state() const { return state_; }

  CallResult<void> create(VmConfig config);
  CallResult<void> boot();
  CallResult<void> pause();
  CallResult<void> resume();
  CallResult<void> shutdown();
  CallResult<void> reboot();
  CallResult<void> remove();
  CallResult<void> press_power_button();
  CallResult<void> inject_nmi();
  /// The terminal may have another size.
  void fit_console() {
    if (vm_ != nullptr) vm_->fit_console();
  }

  /// Of a VM that is not booted, its configuration.
  CallResult<void> resize(const VmSizes& sizes);
  CallResult<void> resize_disk(const std::string& id, std::uint64_t bytes);
  /// Where the guest sees it; nullopt: it comes at the next boot. The descriptors of the device are
  /// the VM's then, and closed after a failure.
  CallResult<std::optional<AddedDevice>> add_device(const HotDevice& device);
  CallResult<void> remove_device(const std::string& id);

  /// What vm.info tells, as a copy that outlives the VM.
  struct Info {
    VmConfig config;
    VmState state = VmState::kCreated;
    std::uint64_t actual_memory = 0;                                  ///< see Vm::actual_memory()
    std::optional<std::vector<PlacedDevice>> devices = std::nullopt;  ///< of a booted VM
  };
  [[nodiscard]] CallResult<Info> info() const;

  /// The VM, when a call of this kind is allowed now.
  CallResult<Vm*> inspect(VmCall call);

  /// The machine has reported its end: a reset, a power-off, a failure. Call when VmEvents::fd() is
  /// readable.
  void take_end();
  /// Ends the VM for good: vmm.shutdown and signals. The last event is told.
  void finish();
  /// Why the process ends, if it is a failure; taken once.
  [[nodiscard]] std::optional<Failure> take_failure() {
    return std::exchange(failure_, std::nullopt);
  }

 private:
  /// Judges a call; the state after it on success.
  [[nodiscard]] CallResult<VmState> allow(VmCall call) const { return allow(call, state_); }
  [[nodiscard]] static CallResult<VmState> allow(VmCall call, VmState state);
  Outcome<void> restart();
  CallResult<void> resize_ram(std::uint64_t bytes);
  CallResult<void> resize_balloon(std::uint64_t bytes);
  void end_with(Failure failure);

  Vm::Host host_;
  Options options_;
  VmState state_ = VmState::kAbsent;
  std::unique_ptr<Vm> vm_;
  std::optional<Failure> failure_;
  bool finished_ = false;
};

}  // namespace vmm::reference
