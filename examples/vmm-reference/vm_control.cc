// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vm_control.h"

#include <algorithm>
#include <utility>

#include "file_rules.h"
#include "opener.h"
#include "vmm/base/log.h"

namespace vmm::reference {
namespace {

CallFailure internal(std::string message) {
  return {.kind = CallFailure::Kind::kInternal, .message = std::move(message)};
}

// What the configuration asks for in vain is the caller's mistake.
CallFailure failure_of(const Failure& failure) {
  return failure.kind == Failure::Kind::kUsage ? bad_request(failure.message)
                                               : internal(failure.message);
}

CallResult<void> told(const Outcome<void>& done) {
  if (!done) return fail(failure_of(done.error()));
  return {};
}

CallFailure failure_of(const DeviceRefusal& refusal) {
  using Kind = CallFailure::Kind;
  const auto kind = [&] {
    switch (refusal.kind) {
      case DeviceRefusal::Kind::kInvalid:
        return Kind::kBadRequest;
      case DeviceRefusal::Kind::kUnknown:
        return Kind::kNotFound;
      case DeviceRefusal::Kind::kDuplicate:
        return Kind::kConflict;
      case DeviceRefusal::Kind::kFailed:
        break;
    }
    return Kind::kInternal;
  };
  return {.kind = kind(), .message = refusal.message};
}

// Clients ask for room that they may want later, and go by what vm.info has of it.
void tell_of_missing_room(const VmConfig& config) {
  if (config.cpus.max_asked != 0) {
    VMM_LOG(kWarn, "--cpus: max=%u: CPU hotplug is not offered yet, the VM has and keeps %u",
            config.cpus.max_asked, config.cpus.boot);
  }
  if (config.memory.acpi_room_asked != 0) {
    VMM_LOG(kWarn, "--memory: hotplug_size: not without hotplug_method=virtio-mem, passed over");
  }
}

// For the thread that opens files, this one, and what they begin from now on. The consoles are
// open: the files that they have made are there.
Outcome<void> confine(const VmConfig& config, const std::string& api_socket) {
  VMM_TRY(const sandbox::Landlock files,
          opening([&] { return make_file_rules(config, api_socket); }));
  VMM_STEP_DO("--landlock", opening([&files] { return files.enforce(); }));
  VMM_STEP_DO("--landlock", files.enforce());
  return {};
}

}  // namespace

CallResult<VmState> VmControl::allow(VmCall call, VmState state) {
  const Verdict verdict = judge(call, state);
  if (!verdict.refusal) return verdict.next;
  const bool absent =
      *verdict.refusal == Refusal::kNotCreated || *verdict.refusal == Refusal::kNotBooted;
  return fail(
      CallFailure{.kind = absent ? CallFailure::Kind::kNotFound : CallFailure::Kind::kInternal,
                  .message = std::string(text_of(*verdict.refusal))});
}

CallResult<Vm*> VmControl::inspect(VmCall call) {
  VMM_TRY_DO(allow(call));
  return vm_.get();
}

// While the VM is taken away the state is still the old one.
CallResult<VmControl::Info> VmControl::info() const {
  VMM_TRY_DO(allow(VmCall::kInfo, vm_ == nullptr ? VmState::kAbsent : state_));
  return Info{.config = std::as_const(*vm_).config(),
              .state = state_,
              .actual_memory = vm_->actual_memory(),
              .devices = vm_->placed_devices()};
}

CallResult<void> VmControl::create(VmConfig config) {
  VMM_TRY(const VmState next, allow(VmCall::kCreate));
  if (options_.landlock) config.landlock = true;
  if (config.landlock) {
    config.landlock_rules.insert(config.landlock_rules.end(), options_.landlock_rules.begin(),
                                 options_.landlock_rules.end());
  }
  tell_of_missing_room(config);
  auto vm = Vm::create(std::move(config), host_);
  if (!vm) return fail(failure_of(vm.error()));
  if ((*vm)->config().landlock) VMM_TRY_DO(told(confine((*vm)->config(), options_.api_socket)));
  vm_ = *std::move(vm);
  state_ = next;
  return {};
}

CallResult<void> VmControl::boot() {
  VMM_TRY(const VmState next, allow(VmCall::kBoot));
  host_.monitor.report(Event::kBooting);
  VMM_TRY_DO(told(vm_->boot()));
  host_.monitor.report(Event::kBooted);  // before anything that the guest does
  vm_->start();
  state_ = next;
  return {};
}

CallResult<void> VmControl::pause() {
  VMM_TRY(const VmState next, allow(VmCall::kPause));
  host_.monitor.report(Event::kPausing);
  vm_->pause();
  state_ = next;
  host_.monitor.report(Event::kPaused);
  return {};
}

CallResult<void> VmControl::resume() {
  VMM_TRY(const VmState next, allow(VmCall::kResume));
  host_.monitor.report(Event::kResuming);
  VMM_TRY_DO(told(vm_->stand_by()));
  host_.monitor.report(Event::kResumed);
  vm_->resume();
  state_ = next;
  host_.events.tell_again();
  return {};
}

CallResult<void> VmControl::shutdown() {
  VMM_TRY(const VmState next, allow(VmCall::kShutdown));
  vm_->stop();
  state_ = next;
  host_.monitor.report(Event::kShutdown);
  return {};
}

CallResult<void> VmControl::reboot() {
  VMM_TRY_DO(allow(VmCall::kReboot));
  return told(restart());
}

Outcome<void> VmControl::restart() {
  host_.monitor.report(Event::kRebooting);
  Outcome<void> done = vm_->reset();
  state_ = done ? VmState::kRunning : VmState::kCreated;
  if (!done) return done;
  host_.monitor.report(Event::kRebooted);
  vm_->start();
  return {};
}

CallResult<void> VmControl::remove() {
  VMM_TRY(const VmState next, allow(VmCall::kDelete));
  if (vm_ == nullptr) return {};
  if (state_ != VmState::kCreated) VMM_TRY_DO(shutdown());
  vm_.reset();
  state_ = next;
  host_.monitor.report(Event::kDeleted);
  return {};
}

CallResult<void> VmControl::press_power_button() {
  VMM_TRY(Vm* const vm, inspect(VmCall::kPowerButton));
  vm->press_power_button();
  return {};
}

CallResult<void> VmControl::inject_nmi() {
  VMM_TRY(Vm* const vm, inspect(VmCall::kNmi));
  if (!vm->inject_nmi()) return fail(internal("there are no such interrupts on this architecture"));
  return {};
}

CallResult<void> VmControl::resize(const VmSizes& sizes) {
  VMM_TRY(Vm* const vm, inspect(VmCall::kResize));
  if (state_ == VmState::kCreated) return told(resize_config(vm->config(), sizes));
  if (sizes.vcpus && *sizes.vcpus != vm->config().cpus.boot) {
    return fail(internal("desired_vcpus: CPU hotplug is not offered yet"));
  }
  host_.monitor.report(Event::kResizing);
  if (sizes.ram_bytes) VMM_TRY_DO(resize_ram(*sizes.ram_bytes));
  if (sizes.balloon_bytes) VMM_TRY_DO(resize_balloon(*sizes.balloon_bytes));
  host_.monitor.report(Event::kResized);
  return {};
}

CallResult<void> VmControl::resize_ram(std::uint64_t bytes) {
  MemoryConfig& memory = vm_->config().memory;
  if (bytes == memory.size + memory.hotplugged_size) return {};
  const Outcome<std::uint64_t> hot = hotplugged_bytes(memory, bytes);
  if (!hot) return fail(failure_of(hot.error()));
  const auto done = vm_->devices().hot_memory()->device()->set_requested(*hot);
  if (!done) return fail(internal("desired_ram: " + to_string(done.error())));
  memory.hotplugged_size = *hot;
  return {};
}

CallResult<void> VmControl::resize_balloon(std::uint64_t bytes) {
  VmConfig& config = vm_->config();
  if (!config.balloon) return fail(internal("desired_balloon: the VM has no balloon"));
  if (bytes >= config.memory.size) {
    return fail(bad_request("desired_balloon: not less than the VM's memory"));
  }
  const auto done = vm_->devices().balloon()->set_target(bytes);
  if (!done) return fail(internal("desired_balloon: " + to_string(done.error())));
  config.balloon->size = bytes;
  return {};
}

CallResult<void> VmControl::resize_disk(const std::string& id, std::uint64_t bytes) {
  VMM_TRY(Vm* const vm, inspect(VmCall::kResizeDisk));
  const auto& slots = vm->devices().slots();
  const auto slot = std::ranges::find(slots, id, &DeviceSlot::id);
  const auto& disks = vm->config().disks;
  const bool is_disk =
      std::ranges::any_of(disks, [&](const DiskConfig& disk) { return disk.device.id == id; });
  if (slot == slots.end() || !is_disk) {
    return fail(
        CallFailure{.kind = CallFailure::Kind::kNotFound, .message = "there is no disk " + id});
  }
  if (slot->disk == nullptr) return fail(internal(id + ": another process serves the disk"));
  if (const auto done = opening([&] { return slot->disk->resize(bytes); }); !done) {
    return fail(internal(id + ": " + to_string(done.error())));
  }
  return {};
}

CallResult<std::optional<AddedDevice>> VmControl::add_device(const HotDevice& device) {
  const auto vm = inspect(VmCall::kAddDevice);
  if (!vm) {
    close_descriptors(device);
    return fail(vm.error());
  }
  auto added = (*vm)->add_device(device);
  if (!added) return fail(failure_of(added.error()));
  return *std::move(added);
}

CallResult<void> VmControl::remove_device(const std::string& id) {
  VMM_TRY(Vm* const vm, inspect(VmCall::kRemoveDevice));
  if (const auto removed = vm->remove_device(id); !removed) {
    return fail(failure_of(removed.error()));
  }
  return {};
}

void VmControl::end_with(Failure failure) {
  failure_ = std::move(failure);
  options_.on_end();
}

void VmControl::take_end() {
  const VmEnd end = host_.events.end();
  // What the guest has asked for before it was paused is for when it goes on.
  if (is_of_guest(end) && state_ == VmState::kPaused) return host_.events.put_off();
  switch (end) {
    case VmEnd::kNone:
      return;
    case VmEnd::kReset:
      if (const Outcome<void> done = restart(); !done) end_with(done.error());
      return;
    case VmEnd::kFailed:
      return end_with(host_.events.failure());
    case VmEnd::kPowerOff:
      if (!options_.stay_after_power_off) return options_.on_end();
      (void)shutdown().has_value();  // it is running
      return;
    case VmEnd::kStopped:
      return options_.on_end();
  }
}

void VmControl::finish() {
  if (std::exchange(finished_, true)) return;
  (void)remove().has_value();  // that is always allowed
  host_.monitor.report(Event::kVmmShutdown);
}

}  // namespace vmm::reference
