// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "pair_counters.h"
#include "vmm/rate_limiter/rate_limiter.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_queue/chain.h"
#include "vnet_header.h"

namespace vmm::virtio_net {

/// Takes packets from the port to the driver: 5.1.6.3 and 5.1.6.4.
///
/// Buffers are taken off the ring ahead of packets and kept in a ring of ours, so that each is
/// looked at once. Without mergeable buffers one of them has to hold a packet; with them, as many
/// as it takes. A packet waits in them, unseen by the driver, for more buffers or for the limit.
class Receiver {
 public:
  struct Rules {
    std::uint64_t features;
    std::uint16_t mtu;  ///< 0: none was told
    Traffic& traffic;   ///< outlives the receiver
  };

  Receiver(const NetPort& port, virtio_device::ActiveQueue queue,
           std::shared_ptr<virtio_device::Interrupt> interrupt, const Rules& rules,
           rate_limiter::RateGate gate);

  Result<void> start(event_manager::EventLoop& loop);
  void port_has_packets() {
    port_empty_ = false;
    serve();
  }
  /// Gives back what was popped for packets to come; nothing is received then.
  void put_back();

 private:
  enum class Step { kDone, kNothingToDo, kNoBuffers };

  static constexpr std::size_t kHeld = 64;
  // Pieces that one packet may go to without a copy; a buffer of Linux has up to 19.
  static constexpr std::size_t kListed = 128;
  using Buffer = virtio_queue::ChainBuffer;

  void serve();
  /// Goes on with one packet.
  Step advance();
  Step deliver();
  /// Takes buffers off the ring until there are `wanted` bytes of room, or no more of them.
  void gather(std::uint32_t wanted);
  [[nodiscard]] Buffer& held(std::size_t index) { return *buffers_[(first_ + index) % kHeld]; }
  [[nodiscard]] const Buffer& held(std::size_t index) const {
    return *buffers_[(first_ + index) % kHeld];
  }
  /// Puts the held buffers back on the ring, with the packet in them lost.
  void let_go();
  /// let_go(), if the first of them is of memory that was replaced meanwhile: an IOMMU may have
  /// unmapped it. Whether it was so.
  bool let_go_of_old();
  /// Reads a packet into the held buffers, and what is too much for them into spill_. Afterwards
  /// bytes_ is not 0, unless the packet is dropped.
  Step read_packet();
  std::size_t list_room(std::span<virtio_queue::IoVec> out);
  /// Where a packet goes in a held buffer.
  [[nodiscard]] virtio_queue::Writer room_in(std::size_t index) const;
  /// Whether all of the packet is in held buffers now. False: more are needed, or, with bytes_ 0,
  /// it was dropped.
  bool place_rest();
  /// Gives the driver the packet that is in the held buffers.
  void give();

  const NetPort& port_;
  virtio_device::QueueRunner runner_;
  const Rules rules_;
  rate_limiter::RateGate gate_;
  event_manager::Registration gate_watch_;
  const bool mergeable_;
  const std::uint32_t wanted_;  // bytes of room to have before a packet is read
  std::uint32_t left_ = 0;      // of the budget of serve()
  bool port_empty_ = false;
  std::unique_ptr<std::byte[]> storage_;  // of the buffers; what is not used is never touched
  std::array<std::optional<Buffer>, kHeld> buffers_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::uint32_t room_ = 0;     // of the held buffers
  std::size_t undoable_ = 0;   // how many of them, at the end, can be made available again
  std::uint64_t held_of_ = 0;  // Queue::memory_changes() at the first of them
  std::unique_ptr<std::byte[]> spill_;
  std::array<virtio_queue::IoVec, kListed + 2> pieces_;  // for system calls
  // The packet that was read last and not given yet, with its header.
  std::uint32_t bytes_ = 0;    // 0: there is none
  std::uint32_t placed_ = 0;   // of them, how many are in buffers; the others are in spill_
  std::size_t placed_in_ = 0;  // how many buffers these are
  bool paid_ = false;          // whether the limit has let it pass
  VnetHeader header_;
};

}  // namespace vmm::virtio_net
