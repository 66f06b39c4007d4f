// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "kvm_window.h"

#include <cerrno>

namespace vmm::reference {

void KvmWindow::use(kvm_ioctls::MemorySlots* slots) {
  const MutexLock lock(mutex_);
  slot_.reset();
  slots_ = slots;
}

Result<void> KvmWindow::show(std::span<std::byte> memory, const GuestAddress* address) {
  const MutexLock lock(mutex_);
  slot_.reset();
  if (address == nullptr) return {};
  if (slots_ == nullptr) return fail(Error::os(ENODEV, "shared memory window"));
  VMM_TRY(slot_, slots_->add({.address = *address,
                              .host = memory,
                              .log_dirty_pages = false,
                              .read_only = false,
                              .private_memory = std::nullopt},
                             nullptr));
  return {};
}

}  // namespace vmm::reference
