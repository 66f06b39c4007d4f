// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "messages.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_gpio {

/// The buffers of the event queue, at most one for each line: a line that has one is unmasked.
class EventBuffers {
 public:
  /// Precondition: lines < kNoLine.
  EventBuffers(virtio_device::QueueRunner& queue, std::uint16_t lines);

  /// No line has this number.
  static constexpr std::uint16_t kNoLine = 0xffff;

  /// Takes the next buffer from the queue and keeps it for the line that it names, which is the
  /// answer. One that cannot be kept goes back with INVALID: kNoLine. nullopt: the queue has no
  /// more, and will kick.
  std::optional<std::uint16_t> take();
  [[nodiscard]] bool has(std::uint16_t line) const { return slots_of_lines_[line] != kNoSlot; }
  /// Gives the buffer of a line back, if it has one: the line is masked then.
  void give_back(std::uint16_t line, IrqStatus status);
  /// Shows the driver what was given back, malformed ones too.
  void flush();

 private:
  /// A buffer is two parts of at most two bytes each.
  using Slot = virtio_queue::InlineChain<4>;
  static constexpr std::uint16_t kNoSlot = 0xffff;

  void complete(const Slot& slot, IrqStatus status);

  virtio_device::QueueRunner& queue_;
  std::unique_ptr<Slot[]> slots_;  ///< for each line, and one more for the next buffer
  std::vector<std::uint16_t> free_;
  std::vector<std::uint16_t> slots_of_lines_;
};

}  // namespace vmm::virtio_gpio
