// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_rng/rng.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_rng {
namespace {

using virtio_device::Activation;
using virtio_device::QueueRunner;
using virtio_queue::Chain;
using virtio_queue::IoVec;

static_assert(sizeof(IoVec) == sizeof(iovec));

class RngWorker final : public virtio_device::Worker {
 public:
  RngWorker(int source, Activation& activation) : source_(source) {
    for (virtio_device::ActiveQueue& queue : activation.queues) {
      runner_.emplace(std::move(queue), activation.interrupt);
    }
    activation.queues.clear();
  }

  Result<void> start(event_manager::EventLoop& loop) override {
    if (!runner_) return {};
    return runner_->start(loop, [this] {
      runner_->serve(chain_, [this](Chain& chain) { return std::optional(fill(chain)); });
    });
  }

 private:
  // The bytes written. A request of another shape than 5.4.6.1 asks for gets none.
  std::uint32_t fill(const Chain& chain) const {
    std::array<IoVec, kMaxPieces> pieces;
    const std::size_t count =
        chain.writer().unsafe_iovec(pieces, std::uint32_t{Rng::kMaxRequestBytes});
    if (count == 0) return 0;
    ssize_t got = 0;
    do {
      got = ::readv(source_, reinterpret_cast<const iovec*>(pieces.data()),
                    static_cast<int>(count));
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return 0;
    const auto bytes = static_cast<std::uint32_t>(got);
    chain.mark_written(bytes);
    return bytes;
  }

  static constexpr std::size_t kMaxPieces = 32;

  int source_;
  std::optional<QueueRunner> runner_;
  virtio_queue::InlineChain<kMaxPieces> chain_;
};

}  // namespace

Result<std::shared_ptr<Rng>> Rng::create(UniqueFd source) {
  const int flags = ::fcntl(source.get(), F_GETFL);
  if (flags < 0 || ::fcntl(source.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail(Error::from_errno("entropy source: fcntl"));
  }
  return std::shared_ptr<Rng>(new Rng(std::move(source)));
}

Result<std::shared_ptr<Rng>> Rng::open(const std::string& path) {
  UniqueFd source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!source) return fail(Error::from_errno("open"));
  return std::shared_ptr<Rng>(new Rng(std::move(source)));
}

std::uint64_t Rng::features() const { return virtio_queue::kFeatureInOrder; }

Result<virtio_device::WorkerList> Rng::activate(Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<RngWorker>(source_.get(), activation));
  return workers;
}

}  // namespace vmm::virtio_rng
