// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <unistd.h>

namespace vmm {

/// Waits for what another thread does, up to a minute, as a machine may be busy with something
/// else; whether it has come.
template <class Condition>
bool soon(const Condition& condition) {
  for (int i = 0; i < 60'000; ++i) {
    if (condition()) return true;
    ::usleep(1000);
  }
  return false;
}

}  // namespace vmm
