// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

namespace vmm::vm_superio {

/// Learns that a device which refused input can take some again.
///
/// Threads: called from the vCPU thread that made the room, without the device's lock; it may call
/// the device. It must not block: typically it wakes the I/O thread with an eventfd.
class InputListener {
 public:
  /// There is room: ask space(). Once for each refusal, when the guest has read all that was
  /// queued, so that a source is woken for a FIFO's worth of bytes.
  virtual void input_space() = 0;

 protected:
  ~InputListener() = default;
};

}  // namespace vmm::vm_superio
