// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "mem_worker.h"

#include <utility>

namespace vmm::virtio_mem {

using virtio_queue::Chain;

MemWorker::MemWorker(std::shared_ptr<Mem::RegionState> state, virtio_device::Activation activation)
    : state_(std::move(state)) {
  for (virtio_device::ActiveQueue& queue : activation.queues) {
    runner_.emplace(std::move(queue), activation.interrupt);
  }
}

Result<void> MemWorker::start(event_manager::EventLoop& loop) {
  if (!runner_) return {};
  return runner_->start(loop, [this] {
    runner_->serve(chain_, [this](const Chain& chain) { return std::optional(serve(chain)); });
  });
}

// What cannot be answered is not done: the driver would not know.
std::uint32_t MemWorker::serve(const Chain& chain) {
  if (chain.writable_bytes() < sizeof(Response)) return 0;
  Response response{};
  response.type = Le16(static_cast<std::uint16_t>(ResponseType::kError));
  if (const auto request = chain.reader().read_obj<Request>()) response = state_->execute(*request);
  (void)chain.writer().write_obj(response);
  return sizeof(Response);
}

}  // namespace vmm::virtio_mem
