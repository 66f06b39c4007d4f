// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <semaphore>
#include <vector>

#include "config.h"
#include "core_group.h"
#include "failure.h"
#include "vm_events.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/sys_util/thread.h"
#include "vmm/vm_device/bus.h"

namespace vmm::reference {

/// Answers those exits of one vCPU that only its architecture has. Used by the vCPU's thread.
class ArchExits {
 public:
  virtual ~ArchExits() = default;
  ArchExits(const ArchExits&) = delete;
  ArchExits& operator=(const ArchExits&) = delete;

  /// False for an exit that it does not know.
  virtual bool handle(const kvm_ioctls::Vcpu& vcpu, const kvm_ioctls::VcpuExit& exit) = 0;
  /// A non-maskable interrupt, where there is such a thing.
  virtual void inject_nmi(const kvm_ioctls::Vcpu& /*vcpu*/) {}

 protected:
  ArchExits() = default;
};

/// Runs one vCPU on a thread of its own, from begin() to join(); then it may begin again.
class VcpuThread {
 public:
  struct Options {
    std::uint32_t index;
    std::vector<std::uint64_t> host_cpus;  ///< where it may run; empty: anywhere
  };
  /// The options of vCPU `index`.
  static Options options_for(const CpusConfig& config, std::uint32_t index);

  /// `vcpu` is configured and moves in. Borrows `mmio` and `events`.
  VcpuThread(kvm_ioctls::Vcpu vcpu, vm_device::MmioBus& mmio, VmEvents& events,
             std::unique_ptr<ArchExits> arch, Options options);
  /// Stops.
  ~VcpuThread();

  /// Before begin(): with which other threads it may share a core. Borrows `cores`.
  void use(CoreGroup& cores) { cores_ = &cores; }
  /// For its registers, before begin().
  [[nodiscard]] const kvm_ioctls::Vcpu& vcpu() const { return vcpu_; }

  /// Makes the thread, which takes its place on the host and then stands still.
  void begin();
  /// Waits for that. Once after begin(). Failures: there is no room for a thread; it cannot have
  /// its place, and the thread ends then, to be joined. Those of its filter.
  Outcome<void> standing();
  /// After standing(): lets it into the guest.
  void start();
  /// Asks the thread to leave the guest. Follow it with join(); two steps, so that all vCPUs of a
  /// machine stop at once.
  void request_stop();
  void join();
  /// Has the thread inject a non-maskable interrupt, at once or when it is started again. From any
  /// thread.
  void request_nmi();

 private:
  void main();
  void run();
  /// Whether to go on running.
  bool handle(const kvm_ioctls::VcpuExit& exit);
  bool handle_other(const kvm_ioctls::VcpuExit& exit);
  Outcome<void> take_place() const;
  void kick() const;

  kvm_ioctls::Vcpu vcpu_;
  kvm_ioctls::VcpuKick kick_;
  vm_device::MmioCaller mmio_;
  VmEvents& events_;
  std::unique_ptr<ArchExits> arch_;
  Options options_;
  CoreGroup* cores_ = nullptr;
  std::atomic<bool> stop_{false};
  std::atomic<bool> nmi_{false};
  std::atomic<int> go_{0};  // 1: into the guest
  Outcome<void> placed_;
  std::binary_semaphore standing_{0};  // placed_ is known
  std::atomic<int> thread_id_{0};      // 0 until the thread runs and after it has ended
  sys_util::Thread thread_;
};

/// Installs the handler, which does nothing, of the signal that takes vCPUs out of the guest.
/// Once a process, before the first thread.
Outcome<void> prepare_vcpu_signal();

}  // namespace vmm::reference
