// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/driver/buffer.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::virtio_queue::driver {

/// The driver's side of a split ring: virtio 1.3, 2.7. See Driver for what each function does.
class SplitDriver {
 public:
  ///@{
  /// As the functions of Driver with these names.
  static Result<SplitDriver, QueueError> create(const QueueShape& shape,
                                                vm_memory::MemoryView memory);

  Result<std::uint16_t, QueueError> add(std::span<const Buffer> buffers);
  Result<std::uint16_t, QueueError> add_indirect(std::span<const Buffer> buffers,
                                                 GuestAddress table);
  bool publish();
  Result<std::optional<Used>, QueueError> reap();
  void disable_interrupts();
  [[nodiscard]] bool enable_interrupts();
  [[nodiscard]] std::uint32_t free_descriptors() const {
    return static_cast<std::uint32_t>(free_.size());
  }
  ///@}

 private:
  struct Flight {
    std::vector<std::uint16_t> descriptors;  // empty: not with the device
  };

  SplitDriver(const QueueShape& shape, vm_memory::MemoryView memory, const detail::Rings& rings);
  void make_available(std::uint16_t head);
  [[nodiscard]] std::uint16_t used_index() const;
  Used take_back(std::uint16_t head, std::uint32_t written);

  QueueShape shape_;
  vm_memory::MemoryView memory_;
  detail::Rings rings_;
  std::vector<std::uint16_t> free_;
  std::vector<Flight> flights_;       // by head
  std::vector<std::uint16_t> order_;  // heads in flight, IN_ORDER only
  std::uint16_t next_avail_ = 0;
  std::uint16_t published_ = 0;
  std::uint16_t next_used_ = 0;
};

}  // namespace vmm::virtio_queue::driver
