// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>

#include "config.h"
#include "failure.h"
#include "vmm/base/mutex.h"

namespace vmm::reference {

/// The vCPU threads of a VM as far as the kernel's core scheduling goes: those with one cookie may
/// run on the two threads of one core at the same time, others may not.
class CoreGroup {
 public:
  using Mode = CpusConfig::CoreScheduling;

  /// nullopt: kVm, and nobody has asked for it.
  explicit CoreGroup(std::optional<Mode> mode)
      : mode_(mode.value_or(Mode::kVm)), wanted_(mode.has_value()) {}

  /// Before the threads start anew.
  void begin();
  /// Gives the calling thread its cookie. A host whose cores have one thread each needs none.
  /// Failures: the kernel cannot keep a vCPU by itself (kVcpu). One that cannot do kVm, which is
  /// the default too, does without.
  Outcome<void> enter();

 private:
  Outcome<void> judge(int error) const;

  const Mode mode_;
  const bool wanted_;
  Mutex mutex_;
  int leader_ VMM_GUARDED_BY(mutex_) = 0;  // the thread that has the VM's cookie
};

}  // namespace vmm::reference
