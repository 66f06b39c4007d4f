// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "domains.h"
#include "fault_log.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_iommu/endpoint_numbers.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_iommu {

/// Serves the request queue and the event queue.
class IommuWorker final : public virtio_device::Worker {
 public:
  IommuWorker(std::shared_ptr<Domains> domains, std::shared_ptr<FaultLog> faults,
              std::shared_ptr<const EndpointNumbers> numbers, virtio_device::Activation activation);

  Result<void> start(event_manager::EventLoop& loop) override;

 private:
  static constexpr std::size_t kPieces = 32;

  /// What the endpoint of a request was added as; a number of nobody's when there is none.
  [[nodiscard]] std::uint32_t added_as(std::uint32_t number) const;
  void serve();
  /// Carries a request out; how many bytes were written.
  std::uint32_t answer(const virtio_queue::Chain& chain);
  template <class Request, class Execute>
  std::uint32_t answer_plain(virtio_queue::Reader& reader, const virtio_queue::Chain& chain,
                             Execute&& execute);
  std::uint32_t answer_probe(virtio_queue::Reader& reader, const virtio_queue::Chain& chain);
  void report();

  const std::shared_ptr<Domains> domains_;
  const std::shared_ptr<FaultLog> faults_;
  const std::shared_ptr<const EndpointNumbers> numbers_;
  const bool map_unmap_;
  std::optional<virtio_device::QueueRunner> requests_;
  std::optional<virtio_device::QueueRunner> events_;
  virtio_queue::InlineChain<kPieces> chain_;
  event_manager::Registration fault_watch_;
};

}  // namespace vmm::virtio_iommu
