// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The device's side of a split ring; see queue_fuzz.h.

namespace {
constexpr bool kFuzzPacked = false;
}

#include "queue_fuzz.h"
