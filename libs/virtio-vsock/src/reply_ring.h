// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <memory>

#include "vmm/virtio_vsock/packet.h"

namespace vmm::virtio_vsock {

/// Resets for packets that belong to no connection, until the driver has buffers for them: the
/// additional resources of virtio 1.3, 5.10.6.1.
class ReplyRing {
 public:
  static constexpr std::size_t kCapacity = 1024;

  ReplyRing() : packets_(std::make_unique<PacketHeader[]>(kCapacity)) {}

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t room() const { return kCapacity - size_; }
  /// Precondition: room() > 0.
  void push(const PacketHeader& packet) { packets_[(begin_ + size_++) % kCapacity] = packet; }
  /// Precondition: !empty().
  [[nodiscard]] PacketHeader pop() {
    const std::size_t at = begin_;
    begin_ = (begin_ + 1) % kCapacity;
    --size_;
    return packets_[at];
  }
  void clear() { size_ = 0; }

 private:
  std::unique_ptr<PacketHeader[]> packets_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

}  // namespace vmm::virtio_vsock
