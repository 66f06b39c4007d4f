// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Whether this is a build with ThreadSanitizer.

#if defined(__SANITIZE_THREAD__)
#define VMM_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VMM_THREAD_SANITIZER 1
#endif
#endif

namespace vmm::testing {

#if defined(VMM_THREAD_SANITIZER)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

}  // namespace vmm::testing
