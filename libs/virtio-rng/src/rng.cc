// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_rng/rng.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/virtio_device/single_queue_worker.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_rng {
namespace {

using virtio_device::Activation;
using virtio_device::QueueRunner;
using virtio_queue::Chain;
using virtio_queue::IoVec;

static_assert(sizeof(IoVec) == sizeof(iovec));

class RngWorker final : public virtio_device::SingleQueueWorker {
 public:
  RngWorker(int source, Activation activation)
      : SingleQueueWorker(std::move(activation)), source_(source) {}

 private:
  void forget() override {
    source_watch_.reset();
    dry_ = false;
  }

  // While the source has nothing, nothing is popped: an answer has at least one byte (5.4.6.2).
  void serve() override {
    if (runner().broken() || dry_) return;
    if (!runner().queue().refresh()) return (void)runner().pop(chain_);  // tells the driver
    runner().queue().disable_notifications();
    std::uint32_t left = QueueRunner::kBudget;
    for (; left != 0 && runner().pop_or_listen(chain_); --left) {
      const ssize_t got = fill();
      if (got == 0) {
        (void)runner().queue().undo_pop(chain_);
        wait_for_source();
        break;
      }
      runner().complete(chain_.head(), got > 0 ? static_cast<std::uint32_t>(got) : 0);
    }
    if (runner().broken()) return;
    runner().flush();
    if (left == 0) runner().kick_again();
  }

  // The bytes written; 0: the source has none now; -1: the request is of another shape than
  // 5.4.6.1 asks for, without a byte to write to.
  ssize_t fill() {
    std::array<IoVec, Rng::kQueueSize> pieces;
    const std::size_t count =
        chain_.writer().unsafe_iovec(pieces, std::uint32_t{Rng::kMaxRequestBytes});
    if (chain_.writable_bytes() == 0) return -1;
    ssize_t got = 0;
    int errors = 0;  // one may be of the moment: a hardware's, or a shortage of memory
    do {
      got =
          ::readv(source_, reinterpret_cast<const iovec*>(pieces.data()), static_cast<int>(count));
    } while (got < 0 && (errno == EINTR || (errno != EAGAIN && ++errors < kMostErrors)));
    ended_ = got == 0 || (got < 0 && errno != EAGAIN);
    if (got <= 0) return 0;
    chain_.mark_written(static_cast<std::uint32_t>(got));
    return got;
  }

  // A source that has ended, or cannot be waited for, will never have more.
  void wait_for_source() {
    dry_ = true;
    if (!ended_) {
      auto watch = loop().add(source_, event_manager::kReadable, [this](event_manager::EventSet) {
        source_watch_.reset();
        dry_ = false;
        serve();
      });
      if (watch) {
        source_watch_ = std::move(*watch);
        return;
      }
    }
    VMM_LOG_GUEST(kWarn, "entropy device: the source has ended; requests are not answered");
  }

  static constexpr int kMostErrors = 8;  // one after another, until the source has ended

  int source_;
  bool dry_ = false;    // nothing was there at the last read, and nobody has said otherwise
  bool ended_ = false;  // the last read said that there will never be more
  virtio_queue::ChainBuffer chain_{Rng::kQueueSize};
  event_manager::Registration source_watch_;
};

}  // namespace

Result<std::shared_ptr<Rng>> Rng::create(UniqueFd source) {
  VMM_TRY_DO(sys_util::set_nonblocking(source.get(), "entropy source: fcntl"));
  return std::shared_ptr<Rng>(new Rng(std::move(source)));
}

Result<std::shared_ptr<Rng>> Rng::open(const std::string& path) {
  UniqueFd source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!source) return fail(Error::from_errno("open"));
  return std::shared_ptr<Rng>(new Rng(std::move(source)));
}

std::uint64_t Rng::features() const {
  return virtio_queue::kFeatureInOrder | virtio_queue::kFeatureRingReset;
}

Result<virtio_device::WorkerList> Rng::activate(Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<RngWorker>(source_.get(), std::move(activation)));
  return workers;
}

}  // namespace vmm::virtio_rng
