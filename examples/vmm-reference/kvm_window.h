// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/kvm_ioctls/memory.h"
#include "vmm/vhost_user_frontend/shared_window.h"

namespace vmm::reference {

/// The window of a device as a memory slot of the machine that there is; the window stays when the
/// guest is reset, and the slot goes. Threads: any.
class KvmWindow final : public vhost_user_frontend::WindowSlot {
 public:
  /// `slots` gives its place to the window from now on; nullptr: there is no machine, and nothing
  /// of the window in a slot.
  void use(kvm_ioctls::MemorySlots* slots) VMM_EXCLUDES(mutex_);
  Result<void> show(std::span<std::byte> memory, const GuestAddress* address) override
      VMM_EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  kvm_ioctls::MemorySlots* slots_ VMM_GUARDED_BY(mutex_) = nullptr;
  std::optional<kvm_ioctls::MemorySlot> slot_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::reference
