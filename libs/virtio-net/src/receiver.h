// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_net {

/// Takes packets from the port to the driver: 5.1.6.3 and 5.1.6.4.
///
/// Buffers are taken off the ring ahead of packets and kept in a ring of ours, so that each is
/// looked at once. Without mergeable buffers one of them has to hold a packet; with them, as many
/// as it takes.
class Receiver {
 public:
  Receiver(const NetPort& port, virtio_device::ActiveQueue queue,
           std::shared_ptr<virtio_device::Interrupt> interrupt, std::uint64_t features);

  Result<void> start(event_manager::EventLoop& loop) {
    return runner_.start(loop, [this] { serve(); });
  }
  void port_has_packets() {
    port_empty_ = false;
    serve();
  }

 private:
  enum class Step { kReceived, kDropped, kPortEmpty, kNoBuffers };

  static constexpr std::size_t kMaxPieces = 32;  // of a buffer; Linux uses up to 19
  static constexpr std::size_t kHeld = 64;
  static constexpr std::size_t kListed = 128;  // pieces that one packet may go to
  using Buffer = virtio_queue::InlineChain<kMaxPieces>;

  void serve();
  Step receive();
  /// Takes buffers off the ring until there is room for a packet, or no more.
  void gather();
  [[nodiscard]] Buffer& held(std::size_t index) const { return buffers_[(first_ + index) % kHeld]; }
  /// Reads a packet into the held buffers, and what is too much for them to spill_. Returns its
  /// bytes with the header; as readv(2) below 0.
  ssize_t read_packet();
  /// A packet of which a part is in spill_: goes on when there is room for it.
  Step finish_spilled();
  /// Gives the driver a packet that is in the held buffers.
  void give(std::uint32_t bytes);
  void put_header(std::uint32_t bytes);

  const NetPort& port_;
  virtio_device::QueueRunner runner_;
  const bool mergeable_;
  const std::uint32_t wanted_;  // bytes of room to have before a packet is read
  bool port_empty_ = false;
  std::unique_ptr<Buffer[]> buffers_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::uint32_t room_ = 0;  // of the held buffers
  std::unique_ptr<std::byte[]> spill_;
  // Of the packet that was read last: what is in the buffers, and how many of them there were.
  std::uint32_t placed_ = 0;
  std::size_t placed_in_ = 0;
  std::uint32_t spilled_ = 0;  // bytes in spill_ that wait for buffers
};

}  // namespace vmm::virtio_net
