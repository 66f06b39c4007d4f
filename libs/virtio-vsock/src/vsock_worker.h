// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "connection.h"
#include "connection_table.h"
#include "host_clients.h"
#include "reply_ring.h"
#include "turn_list.h"
#include "vmm/event_manager/timer.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_vsock/vsock.h"

namespace vmm::virtio_vsock {

/// Serves the three queues, all connections and the listening socket.
class VsockWorker final : public virtio_device::Worker {
 public:
  VsockWorker(std::shared_ptr<Vsock::Core> core, virtio_device::Activation activation);

  Result<void> start(event_manager::EventLoop& loop) override;

 private:
  // Packets of the driver.
  void serve_tx();
  void take_packet(const virtio_queue::Chain& chain);
  void dispatch(const PacketHeader& header, const virtio_queue::Reader* payload);
  void connect(const PacketHeader& header);
  void end(Connection& connection);

  // Packets to the driver.
  void serve_rx();
  /// Puts one packet into rx_chain_. False: there is nothing to say.
  [[nodiscard]] bool fill_rx();
  void resume_tx();

  void add_client(UniqueFd socket, std::uint32_t port);
  void add(Connection::Start start, const PacketHeader* request);
  [[nodiscard]] bool watch(Connection& connection);
  /// After anything that may give it something to say or to wait for.
  void settle(Connection& connection);
  void destroy(Connection& connection);

  void start_clock();
  void tick();
  void postpone(Connection::Clock::duration by);
  void expire(Connection& connection, Connection::Clock::time_point now);

  void reset_transport();
  void send_event();

  std::shared_ptr<Vsock::Core> core_;
  bool messages_;  // VIRTIO_VSOCK_F_SEQPACKET
  std::optional<virtio_device::QueueRunner> rx_;
  std::optional<virtio_device::QueueRunner> tx_;
  std::optional<virtio_device::QueueRunner> event_;
  virtio_queue::ChainBuffer rx_chain_{Vsock::kQueueSize};
  virtio_queue::ChainBuffer tx_chain_{Vsock::kQueueSize};
  bool tx_waits_ = false;  // for room in replies_
  bool event_due_ = false;
  ReplyRing replies_;
  TurnList turns_;
  ConnectionTable connections_;
  HostClients clients_;
  event_manager::EventLoop* loop_ = nullptr;
  event_manager::Registration reset_watch_;
  std::optional<event_manager::Timer> clock_;
  bool clock_runs_ = false;
  Connection::Clock::time_point last_tick_{};
};

}  // namespace vmm::virtio_vsock
