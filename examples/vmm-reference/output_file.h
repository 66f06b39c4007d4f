// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::reference {

/// open(2) for writing, with `flags` besides. Opening a FIFO that nobody reads waits for who will,
/// and no longer than until somebody asks the process to end (end_is_asked()).
/// Errors: those of open(2), fcntl(2); ENXIO for such a FIFO at the end.
Result<UniqueFd> open_output(const std::string& path, int flags, unsigned mode = 0);

}  // namespace vmm::reference
