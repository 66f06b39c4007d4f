// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "mem_worker.h"

#include <optional>
#include <utility>

namespace vmm::virtio_mem {

using virtio_queue::Chain;

MemWorker::MemWorker(std::shared_ptr<Mem::RegionState> state, virtio_device::Activation activation)
    : SingleQueueWorker(std::move(activation)), state_(std::move(state)) {}

void MemWorker::serve() {
  runner().serve(chain_, [this](const Chain& chain) { return std::optional(answer(chain)); });
}

// What cannot be answered is not done: the driver would not know.
std::uint32_t MemWorker::answer(const Chain& chain) {
  if (chain.writable_bytes() < sizeof(Response)) return 0;
  Response response{};
  response.type = Le16(static_cast<std::uint16_t>(ResponseType::kError));
  if (const auto request = chain.reader().read_obj<Request>()) response = state_->execute(*request);
  (void)chain.writer().write_obj(response);
  return sizeof(Response);
}

}  // namespace vmm::virtio_mem
