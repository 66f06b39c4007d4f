// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <span>

#include "vmm/vm_superio/byte_sink.h"

namespace vmm::vm_superio {

/// A sink whose reader has stopped, until it is told to go on.
struct StalledSink final : ByteSink {
  std::size_t write(std::span<const std::byte> bytes) override {
    stalled = true;
    stalled.notify_all();
    going.wait(false);
    return bytes.size();
  }
  void wait() const { stalled.wait(false); }
  void go_on() {
    going = true;
    going.notify_all();
  }

  std::atomic<bool> stalled{false};
  std::atomic<bool> going{false};
};

}  // namespace vmm::vm_superio
