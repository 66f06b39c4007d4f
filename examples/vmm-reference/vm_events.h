// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <string>

#include "failure.h"
#include "vmm/base/mutex.h"
#include "vmm/sys_util/event_fd.h"

namespace vmm::reference {

/// Why a machine stops running.
enum class VmEnd : std::uint8_t {
  kNone,
  kPowerOff,  ///< the guest switched itself off
  kReset,     ///< the guest asked for a reset, or triple-faulted
  kFailed,    ///< it cannot go on; failure() says why
  kStopped,   ///< the user ended the VMM
};

/// Whether the guest asked for it.
constexpr bool is_of_guest(VmEnd end) { return end == VmEnd::kPowerOff || end == VmEnd::kReset; }

/// Where vCPU threads and devices report that the machine is to end, and where the control loop
/// learns of it. The first report of a machine's life counts, but what the guest asked for gives
/// way to kFailed and kStopped: it may have to wait while the machine is paused.
///
/// Thread-safety: all functions may be called from any thread.
class VmEvents {
 public:
  static Result<VmEvents> create() {
    VMM_TRY(sys_util::EventFd event, sys_util::EventFd::create());
    return VmEvents(std::move(event));
  }
  VmEvents(VmEvents&& other) noexcept : event_(std::move(other.event_)) {}

  void report(VmEnd end) {
    VmEnd now = end_.load();
    do {
      if (now != VmEnd::kNone && (is_of_guest(end) || !is_of_guest(now))) return;
    } while (!end_.compare_exchange_weak(now, end));
    (void)event_.add().has_value();  // the counter cannot be full
  }
  void report(Failure failure) {
    {
      const MutexLock lock(mutex_);
      if (failure_.message.empty()) failure_ = std::move(failure);
    }
    report(VmEnd::kFailed);
  }

  [[nodiscard]] VmEnd end() const { return end_.load(); }
  [[nodiscard]] Failure failure() const {
    const MutexLock lock(mutex_);
    return failure_;
  }
  /// Lets what was reported wait: fd() is not readable, until tell_again().
  void put_off() {
    (void)event_.take().has_value();  // empty is fine
  }
  void tell_again() {
    if (end() != VmEnd::kNone) (void)event_.add().has_value();
  }
  /// Forgets what was reported: before the next machine starts.
  void clear() {
    {
      const MutexLock lock(mutex_);
      failure_ = {};
    }
    (void)event_.take().has_value();  // empty is fine
    end_.store(VmEnd::kNone);
  }
  /// Readable from the first report until clear(), but for put_off().
  [[nodiscard]] int fd() const { return event_.fd(); }

 private:
  explicit VmEvents(sys_util::EventFd event) : event_(std::move(event)) {}

  sys_util::EventFd event_;
  std::atomic<VmEnd> end_{VmEnd::kNone};
  mutable Mutex mutex_;
  Failure failure_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::reference
