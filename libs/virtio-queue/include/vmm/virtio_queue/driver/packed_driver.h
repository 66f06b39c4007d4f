// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/driver/buffer.h"
#include "vmm/virtio_queue/notification.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::virtio_queue::driver {

/// The driver's side of a packed ring: virtio 1.3, 2.8. See Driver for what each function does.
class PackedDriver {
 public:
  ///@{
  /// As the functions of Driver with these names.
  static Result<PackedDriver, QueueError> create(const QueueShape& shape,
                                                 vm_memory::MemoryView memory);

  Result<std::uint16_t, QueueError> add(std::span<const Buffer> buffers);
  Result<std::uint16_t, QueueError> add_indirect(std::span<const Buffer> buffers,
                                                 GuestAddress table);
  bool publish();
  Result<std::optional<Used>, QueueError> reap();
  void disable_interrupts();
  [[nodiscard]] bool enable_interrupts();
  [[nodiscard]] std::uint32_t free_descriptors() const { return free_descriptors_; }
  ///@}

 private:
  PackedDriver(const QueueShape& shape, vm_memory::MemoryView memory, const detail::Rings& rings);
  void put(const Buffer& buffer, std::uint16_t flags, std::uint16_t id);
  [[nodiscard]] bool is_used_next() const;
  void take_back(std::uint16_t id);

  QueueShape shape_;
  vm_memory::MemoryView memory_;
  detail::Rings rings_;
  std::vector<std::uint16_t> free_ids_;
  std::vector<std::uint16_t> counts_;  // descriptors by id; 0: not with the device
  std::uint32_t free_descriptors_;
  RingPosition next_avail_;
  RingPosition next_used_;
  std::uint32_t steps_ = 0;      // descriptors added since the last publish()
  std::byte* staged_ = nullptr;  // the first of them, whose flags are written last
  std::uint32_t staged_rest_ = 0;
};

}  // namespace vmm::virtio_queue::driver
