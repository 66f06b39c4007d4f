// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/registration.h"

#include <cerrno>

#include "loop_state.h"

namespace vmm::event_manager {

Result<void> Registration::modify(sys_util::EventSet interest) {
  if (loop_ == nullptr) return fail(Error::os(ENOENT, "modify registration"));
  return loop_->modify(token_, interest);
}

void Registration::drop() noexcept { loop_->remove(token_); }

}  // namespace vmm::event_manager
