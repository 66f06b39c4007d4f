// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <mutex>

// clang's -Wthread-safety attributes; nothing elsewhere.
#if defined(__clang__)
#define VMM_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define VMM_THREAD_ATTRIBUTE(x)
#endif
#define VMM_CAPABILITY(x) VMM_THREAD_ATTRIBUTE(capability(x))
#define VMM_SCOPED_CAPABILITY VMM_THREAD_ATTRIBUTE(scoped_lockable)
#define VMM_GUARDED_BY(x) VMM_THREAD_ATTRIBUTE(guarded_by(x))
#define VMM_REQUIRES(...) VMM_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define VMM_EXCLUDES(...) VMM_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define VMM_ACQUIRE(...) VMM_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define VMM_TRY_ACQUIRE(...) VMM_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define VMM_RELEASE(...) VMM_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))

namespace vmm {

/// std::mutex with the annotations that let clang prove which fields it guards.
class VMM_CAPABILITY("mutex") Mutex {
 public:
  ///@{
  /// As std::mutex; MutexLock is the usual way. Not recursive.
  void lock() VMM_ACQUIRE() { mutex_.lock(); }
  void unlock() VMM_RELEASE() { mutex_.unlock(); }
  [[nodiscard]] bool try_lock() VMM_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  ///@}

 private:
  std::mutex mutex_;
};

/// Holds a Mutex for a scope.
class VMM_SCOPED_CAPABILITY MutexLock {
 public:
  /// Waits until no other thread holds `mutex`, which outlives the lock.
  explicit MutexLock(Mutex& mutex) VMM_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() VMM_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace vmm
