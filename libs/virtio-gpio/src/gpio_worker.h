// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "event_buffers.h"
#include "line_state.h"
#include "messages.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_gpio/gpio.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_gpio {

/// Serves both queues, and what the chip reports.
class GpioWorker final : public virtio_device::Worker {
 public:
  using Names = std::shared_ptr<const std::vector<std::byte>>;
  /// The device's, one for each line of the chip.
  using Lines = std::shared_ptr<std::vector<LineState>>;

  GpioWorker(std::shared_ptr<Chip> chip, Names names, Lines lines,
             virtio_device::Activation activation);
  /// Lets all lines of the chip go; their states stay as they were.
  ~GpioWorker() override;

  /// Takes the lines that their states say are taken.
  Result<void> start(event_manager::EventLoop& loop) override;
  /// Gives the buffers of the event queue back, as interrupts: one too many is better than one that
  /// nobody hears of again.
  void drain() override;

 private:
  [[nodiscard]] std::uint32_t answer(const virtio_queue::Chain& chain);
  [[nodiscard]] std::uint32_t answer_names(const virtio_queue::Chain& chain) const;
  [[nodiscard]] Response respond(const Request& request);
  [[nodiscard]] bool set_direction(std::uint16_t line, std::uint32_t direction);
  [[nodiscard]] std::optional<bool> value(std::uint16_t line);
  [[nodiscard]] bool set_value(std::uint16_t line, std::uint32_t value);
  [[nodiscard]] bool set_irq_type(std::uint16_t line, std::uint32_t type);
  [[nodiscard]] bool enable_irq(std::uint16_t line, IrqType type);
  [[nodiscard]] Result<void> restore(std::uint16_t line);
  void disable_irq(std::uint16_t line);
  void let_go(std::uint16_t line);
  void release(std::uint16_t line);

  void take_buffers();
  void take_edges();
  void sense_edge(std::uint16_t line);
  void unmask(std::uint16_t line);
  [[nodiscard]] bool is_active(std::uint16_t line);

  std::shared_ptr<Chip> chip_;
  Names names_;
  bool has_irq_;
  Lines kept_;
  std::vector<LineState>& lines_;  ///< in kept_
  std::optional<virtio_device::QueueRunner> requests_;
  std::optional<virtio_device::QueueRunner> events_;
  std::optional<EventBuffers> buffers_;  ///< of events_
  virtio_queue::InlineChain<16> chain_;
  event_manager::Registration edges_watch_;
};

}  // namespace vmm::virtio_gpio
