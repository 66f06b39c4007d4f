// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "port_server.h"
#include "ports.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_console {

/// What the control queues carry: 5.3.6.2.
struct ControlMessage {
  enum Event : std::uint16_t {
    kDeviceReady = 0,
    kPortAdd = 1,
    kPortReady = 3,
    kConsolePort = 4,
    kPortOpen = 6,
    kPortName = 7,
  };

  Le32 port{};
  Le16 event{};
  Le16 value{};
};
static_assert(sizeof(ControlMessage) == 8);

/// Serves all queues of the device. What the driver is to be told of a port is a few bits, however
/// often it asks.
class MultiportWorker final : public virtio_device::Worker {
 public:
  MultiportWorker(std::shared_ptr<MultiportConsole::Ports> ports,
                  virtio_device::Activation activation);
  /// Leaves what it knows of the driver to the device.
  ~MultiportWorker() override;

  Result<void> start(event_manager::EventLoop& loop) override;
  [[nodiscard]] bool stop_queue(std::uint16_t index) override;
  Result<void> start_queue(virtio_device::ActiveQueue& queue) override;
  void drain() override;

 private:
  using News = MultiportConsole::Ports::News;
  struct Served {
    std::unique_ptr<PortServer> server;
    MultiportConsole::Ports::Talk talk{};

    void add_news(unsigned news) { talk.news = static_cast<std::uint8_t>(talk.news | news); }
  };

  Result<void> start_control(virtio_device::ActiveQueue& queue);
  /// Of a queue of a port; nullptr: the port is not there.
  [[nodiscard]] PortServer* server_of(std::uint16_t index) const;
  void hear();
  void take(const ControlMessage& message);
  void device_ready();
  void open(std::size_t port, bool open);
  void port_ready(std::size_t port);
  void tell();
  /// False: there is nothing to tell.
  [[nodiscard]] bool has_news() const;
  /// Writes the next message into the buffer, and returns its size; 0: it has no room for it.
  [[nodiscard]] std::uint32_t tell_next(virtio_queue::Writer buffer);
  [[nodiscard]] ControlMessage message_of(std::size_t port, News news) const;
  void look_at_hosts();

  std::shared_ptr<MultiportConsole::Ports> ports_;
  const bool multiport_;
  std::shared_ptr<virtio_device::Interrupt> interrupt_;
  std::vector<virtio_device::ActiveQueue> waiting_;  // for start()
  event_manager::EventLoop* loop_ = nullptr;
  std::vector<Served> served_;
  std::optional<virtio_device::QueueRunner> to_driver_;
  std::optional<virtio_device::QueueRunner> from_driver_;
  virtio_queue::ChainBuffer told_{MultiportConsole::kQueueSize};
  virtio_queue::ChainBuffer heard_{MultiportConsole::kQueueSize};
  event_manager::Registration news_watch_;
};

}  // namespace vmm::virtio_console
