// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/vm_device/bus.h"

namespace vmm::kvm_board {

/// Why a vCPU does not run any more.
enum class VcpuEnd : std::uint8_t {
  kStopped,   ///< by VcpuRunner::stop()
  kHalted,    ///< HLT, without an interrupt controller in KVM
  kPowerOff,  ///< the guest has asked for it (PSCI, SBI)
  kReset,     ///< the same, or a triple fault
  kCrashed,   ///< the guest has told of its crash (Hyper-V), or cannot go on (SEV, TDX)
};

/// What a system event comes to; nullopt for those that are no end: PSCI's suspension and what
/// wakes from it, which a VMM must have asked for, and events of newer kernels.
[[nodiscard]] std::optional<VcpuEnd> end_of(const kvm_ioctls::exits::SystemEvent& event);

/// Runs a vCPU on the thread that asks for it, and answers its exits from buses. An access that no
/// device takes reads as all ones, and is dropped when it is a write.
///
///   VMM_TRY_DO(VcpuRunner::handle_signal());        // once, before the first thread
///   VcpuRunner runner(std::move(vcpu), {.mmio = &bus});
///   std::thread thread([&] { end = runner.run(); });
///   ...
///   runner.stop();                                  // from any other thread
///   thread.join();
class VcpuRunner {
 public:
  /// Answers an exit that is none of the buses' and no end: true when it was one that it knows.
  using OtherExits =
      std::function<bool(const kvm_ioctls::Vcpu& vcpu, const kvm_ioctls::VcpuExit& exit)>;
  /// What a runner is wired to.
  struct Wiring {
    vm_device::MmioBus* mmio = nullptr;  ///< required; borrowed
    vm_device::PioBus* ports = nullptr;  ///< x86_64; borrowed; nullptr: no port has a device
    OtherExits other_exits = nullptr;    ///< called by the thread that runs the vCPU
  };

  /// Installs the handler, which does nothing, of the signal that takes vCPUs out of the guest:
  /// SIGRTMIN. Once a process. Errors: those of sigaction(2).
  static Result<void> handle_signal();

  /// `vcpu` is set up, but for its registers.
  VcpuRunner(kvm_ioctls::Vcpu vcpu, const Wiring& wiring);
  VcpuRunner(const VcpuRunner&) = delete;
  VcpuRunner& operator=(const VcpuRunner&) = delete;
  /// Precondition: run() has returned.
  ~VcpuRunner() = default;

  /// For its registers, while it does not run.
  [[nodiscard]] const kvm_ioctls::Vcpu& vcpu() const { return vcpu_; }

  /// Runs the guest until it ends, or until stop(). One thread at a time; afterwards it may be
  /// called again, and goes on unless stop() was called meanwhile.
  /// Errors: those of KVM_RUN; EIO for an exit that nobody answers, system events that are no end
  /// among them, whose name is logged.
  Result<VcpuEnd> run();
  /// Has run() return: the one in progress, soon, or the next. From any thread; for devices, which
  /// call it on the vCPU's own, after the access in progress.
  void request_stop();
  /// request_stop(), and waits until run() has returned or is about to. From any thread but that of
  /// run(). A device that holds the vCPU's thread up for good holds this up too.
  void stop();

 private:
  Result<std::optional<VcpuEnd>> answer(const kvm_ioctls::VcpuExit& exit);
  [[nodiscard]] bool answer_access(const kvm_ioctls::VcpuExit& exit);

  kvm_ioctls::Vcpu vcpu_;
  kvm_ioctls::VcpuKick kick_;
  vm_device::MmioCaller mmio_;
  std::optional<vm_device::PioCaller> ports_;
  OtherExits other_exits_;
  std::atomic<bool> stop_{false};
  std::atomic<int> thread_{0};  // 0: run() is not under way
};

}  // namespace vmm::kvm_board
