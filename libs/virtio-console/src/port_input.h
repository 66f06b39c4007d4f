// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/virtio_console/port.h"

namespace vmm::virtio_console {

/// Bytes that wait for the driver. Threads: any.
class PortInput final : public ConsoleInput {
 public:
  PortInput(std::size_t capacity, sys_util::EventFd wake)
      : capacity_(capacity), wake_(std::move(wake)) {}

  [[nodiscard]] std::size_t space() override {
    const MutexLock lock(mutex_);
    if (bytes_.size() == capacity_) wanted_ = true;
    return capacity_ - bytes_.size();
  }
  void set_on_space(std::function<void()> on_space) override {
    const MutexLock lock(mutex_);
    on_space_ = std::move(on_space);
  }
  [[nodiscard]] bool enqueue(std::span<const std::byte> bytes) override {
    {
      const MutexLock lock(mutex_);
      if (bytes.size() > capacity_ - bytes_.size()) return false;
      bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
    (void)wake_.add();
    return true;
  }

  // For the worker.

  [[nodiscard]] int wake_fd() const { return wake_.fd(); }
  [[nodiscard]] bool empty() {
    const MutexLock lock(mutex_);
    return bytes_.empty();
  }
  /// Hands the bytes to `take`, which returns how many of them it took.
  template <class Take>
  void drain(Take&& take) {
    std::function<void()> tell;
    {
      const MutexLock lock(mutex_);
      const std::size_t taken = take(std::span<const std::byte>(bytes_));
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(taken));
      if (taken != 0 && std::exchange(wanted_, false)) tell = on_space_;
    }
    if (tell) tell();
  }

 private:
  const std::size_t capacity_;
  const sys_util::EventFd wake_;
  Mutex mutex_;
  std::vector<std::byte> bytes_ VMM_GUARDED_BY(mutex_);
  std::function<void()> on_space_ VMM_GUARDED_BY(mutex_);
  bool wanted_ VMM_GUARDED_BY(mutex_) = false;
};

}  // namespace vmm::virtio_console
