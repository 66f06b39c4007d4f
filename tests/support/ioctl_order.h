// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

namespace vmm::testing {

/// For a test whose ioctls another thread of it answers: under ThreadSanitizer, which cannot know
/// that order, what was before an ioctl was before what follows one that ends later. A program that
/// calls this, wherever it does, has an ioctl() that says so.
void let_ioctls_order_threads();

}  // namespace vmm::testing
