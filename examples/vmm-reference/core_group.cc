// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "core_group.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/base/log.h"

namespace vmm::reference {
namespace {

// Linux 5.14; the kernel's headers may be older.
constexpr int kSchedCore = 62;
constexpr unsigned long kCreate = 1;
constexpr unsigned long kShareFrom = 3;
constexpr unsigned long kThisThreadAlone = 0;

/// 0, or the error.
int core_call(unsigned long what, int thread) {
  const auto id = static_cast<unsigned long>(thread);
  return ::prctl(kSchedCore, what, id, kThisThreadAlone, 0ul) == 0 ? 0 : errno;
}

}  // namespace

void CoreGroup::begin() {
  const MutexLock lock(mutex_);
  leader_ = 0;
}

// A leader that has been stopped meanwhile is followed by this thread.
Outcome<void> CoreGroup::enter() {
  if (mode_ == Mode::kOff) return {};
  const MutexLock lock(mutex_);
  if (mode_ == Mode::kVm && leader_ != 0) {
    const int error = core_call(kShareFrom, leader_);
    if (error != ESRCH) return judge(error);
  }
  const int error = core_call(kCreate, 0);
  if (error == 0) leader_ = ::gettid();
  return judge(error);
}

Outcome<void> CoreGroup::judge(int error) const {
  if (error == 0) return {};
  if (error == ENODEV) {
    VMM_LOG(kDebug, "core scheduling: the host's cores have one thread each");
    return {};
  }
  const Failure failure =
      runtime("--cpus: core_scheduling", Error::os(error, "prctl PR_SCHED_CORE"));
  if (mode_ == Mode::kVcpu) return fail(failure);
  if (wanted_) {
    VMM_LOG(kWarn, "%s: done without", failure.message.c_str());
  } else {
    VMM_LOG(kInfo, "%s: done without", failure.message.c_str());
  }
  return {};
}

}  // namespace vmm::reference
