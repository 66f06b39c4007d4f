// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_device/doorbell.h"

#include <cerrno>

namespace vmm::vm_device {

Result<void> NoDoorbells::add(const Doorbell&) { return fail(Error::os(ENOSYS, "add a doorbell")); }

void NoDoorbells::remove(const Doorbell&) {}

}  // namespace vmm::vm_device
