// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pmem_worker.h"

#include <utility>

#include "vmm/base/endian.h"
#include "vmm/base/log.h"

namespace vmm::virtio_pmem {
namespace {

constexpr std::uint32_t kFlush = 0;  // the type of a request: 5.19.6

bool is_flush(const virtio_queue::Chain& chain) {
  const auto type = chain.reader().read_obj<Le32>();
  return type && type->get() == kFlush && chain.writable_bytes() >= sizeof(Le32);
}

}  // namespace

PmemWorker::PmemWorker(Flusher& flusher, virtio_device::Activation activation)
    : SingleQueueWorker(std::move(activation)), flusher_(flusher) {}

// One flush for all that wait: what they are to make durable was written before they came.
void PmemWorker::serve() {
  if (!runner().queue().refresh()) return (void)runner().pop(flushes_[0]);
  const std::size_t count = collect();
  if (count != 0) {
    const auto flushed = flusher_.flush();
    if (!flushed) VMM_LOG_GUEST(kWarn, "pmem: %s", to_string(flushed.error()).c_str());
    for (std::size_t i = 0; i < count; ++i) {
      answer(flushes_[i], flushed ? Pmem::kDone : Pmem::kFailed);
    }
  }
  if (runner().broken()) return;
  runner().flush();
  if (count == flushes_.size()) runner().kick_again();
}

// Fills flushes_ and answers what is no flush; as many as the queue holds, at most.
std::size_t PmemWorker::collect() {
  std::size_t count = 0;
  for (std::uint32_t left = Pmem::kQueueSize; left != 0 && count < flushes_.size(); --left) {
    virtio_queue::Chain& chain = flushes_[count];
    if (!runner().pop_or_listen(chain)) break;
    if (is_flush(chain)) {
      ++count;
    } else {
      answer(chain, Pmem::kFailed);
    }
    if (left == 1) runner().kick_again();
  }
  return count;
}

void PmemWorker::answer(const virtio_queue::Chain& chain, std::uint32_t result) {
  const bool written = chain.writer().write_obj(Le32(result)).has_value();
  runner().complete(chain.head(), written ? sizeof(Le32) : 0);
}

}  // namespace vmm::virtio_pmem
