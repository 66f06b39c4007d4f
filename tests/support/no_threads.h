// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <pthread.h>

#include <cstddef>

namespace vmm {

/// While it lives, no thread of this process can be started: its stack would not fit anywhere.
class NoThreads {
 public:
  NoThreads() {
    (void)::pthread_getattr_default_np(&before_);
    pthread_attr_t huge = before_;
    (void)::pthread_attr_setstacksize(&huge, std::size_t{1} << 62);
    (void)::pthread_setattr_default_np(&huge);
  }
  ~NoThreads() { (void)::pthread_setattr_default_np(&before_); }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  pthread_attr_t before_{};
};

}  // namespace vmm
