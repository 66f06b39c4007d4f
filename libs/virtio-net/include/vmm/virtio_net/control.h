// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_net/tap.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_net {

enum class NetFeature : std::uint8_t;  // net.h

/// Does what the driver orders on the control queue: virtio 1.3, 5.1.6.5.
///
/// Threads: the loop's on which Control was started.
class ControlHandler {
 public:
  /// Whether the driver has chosen the feature.
  [[nodiscard]] virtual bool negotiated(NetFeature feature) const = 0;
  ///@{
  /// Does it; false: refused. What was not negotiated is refused.
  virtual bool set_queue_pairs(std::uint16_t pairs) = 0;
  virtual bool set_guest_offloads(std::uint64_t features) = 0;
  virtual bool set_mac(const MacAddress& mac) = 0;
  virtual bool end_announcement() = 0;
  ///@}

 protected:
  ~ControlHandler() = default;
};

/// Serves the control queue. Commands that were not negotiated, or are not as long as they should
/// be, are refused; filters of packets are accepted and let everything pass.
class Control {
 public:
  /// `handler` outlives it.
  Control(ControlHandler& handler, virtio_device::ActiveQueue queue,
          std::shared_ptr<virtio_device::Interrupt> interrupt)
      : handler_(handler),
        runner_(std::move(queue), std::move(interrupt)),
        chain_(runner_.queue().size()) {}

  /// Errors: those of epoll.
  Result<void> start(event_manager::EventLoop& loop);

 private:
  std::uint32_t answer(virtio_queue::Chain& chain);
  [[nodiscard]] bool obey(virtio_queue::Reader& command);
  [[nodiscard]] bool set_addresses(std::uint8_t command_code, virtio_queue::Reader& command);
  [[nodiscard]] static bool set_mac_tables(virtio_queue::Reader& command);

  ControlHandler& handler_;
  virtio_device::QueueRunner runner_;
  virtio_queue::ChainBuffer chain_;
};

}  // namespace vmm::virtio_net
