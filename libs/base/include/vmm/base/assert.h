// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

/// Stops the program when `condition` does not hold, in every build type.
///
/// For the few checks that stand between our own mistake and memory unsafety; never for input.
#define VMM_ASSERT_ALWAYS(condition) \
  do {                               \
    if (!(condition)) [[unlikely]]   \
      __builtin_trap();              \
  } while (false)
