// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "event_buffers.h"

namespace vmm::virtio_gpio {

EventBuffers::EventBuffers(virtio_device::QueueRunner& queue, std::uint16_t lines)
    : queue_(queue),
      slots_(std::make_unique<Slot[]>(std::size_t{lines} + 1)),
      slots_of_lines_(lines, kNoSlot) {
  for (std::uint16_t slot = 0; slot <= lines; ++slot) free_.push_back(slot);
}

std::optional<std::uint16_t> EventBuffers::take() {
  Slot& slot = slots_[free_.back()];
  if (!queue_.pop_or_listen(slot)) return std::nullopt;
  const auto request = slot.reader().read_obj<IrqRequest>();
  const std::uint16_t line = request ? request->line.get() : kNoLine;
  if (slot.writable_bytes() == 0 || line >= slots_of_lines_.size() || has(line)) {
    complete(slot, IrqStatus::kInvalid);
    return kNoLine;
  }
  slots_of_lines_[line] = free_.back();
  free_.pop_back();
  return line;
}

void EventBuffers::give_back(std::uint16_t line, IrqStatus status) {
  if (!has(line)) return;
  const std::uint16_t slot = slots_of_lines_[line];
  complete(slots_[slot], status);
  slots_of_lines_[line] = kNoSlot;
  free_.push_back(slot);
}

void EventBuffers::complete(const Slot& slot, IrqStatus status) {
  const bool written = slot.writer().write_obj(status).has_value();
  queue_.complete(slot.head(), written ? 1 : 0);
}

void EventBuffers::flush() {
  if (!queue_.broken()) queue_.flush();
}

}  // namespace vmm::virtio_gpio
