// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_rng/rng.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/event_manager/turn.h"
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
  RngWorker(int source, std::shared_ptr<rate_limiter::RateLimiter> limiter, Activation activation)
      : SingleQueueWorker(std::move(activation)), source_(source), limiter_(std::move(limiter)) {}

  Result<void> start(event_manager::EventLoop& loop) override {
    if (limiter_ != nullptr) VMM_TRY_DO(start_gate(loop));
    return SingleQueueWorker::start(loop);
  }

 private:
  Result<void> start_gate(event_manager::EventLoop& loop) {
    VMM_TRY(gate_, rate_limiter::RateGate::create(limiter_));
    VMM_TRY(gate_watch_,
            loop.add(gate_->timer_fd(), event_manager::kReadable, [this](event_manager::EventSet) {
              gate_->open();
              if (runs()) serve();
            }));
    return {};
  }

  void forget() override {
    source_watch_.reset();
    dry_ = false;
  }

  // While the source has nothing, nothing is popped: an answer has at least one byte (5.4.6.2).
  void serve() override {
    if (runner().broken() || dry_ || (gate_ && gate_->is_shut())) return;
    if (!runner().queue().refresh()) return (void)runner().pop(chain_);  // tells the driver
    runner().queue().disable_notifications();
    const event_manager::Turn turn;
    std::uint32_t left = QueueRunner::kBudget;
    for (; left != 0 && runner().pop_or_listen(chain_); left = turn.over() ? 0 : left - 1) {
      const std::optional<std::uint32_t> written = answer();
      if (!written) {
        (void)runner().queue().undo_pop(chain_);
        break;
      }
      runner().complete(chain_.head(), *written);
    }
    if (runner().broken()) return;
    runner().flush();
    if (left == 0) runner().kick_again();
  }

  // The bytes written, none where the request is of another shape than 5.4.6.1 asks for; nullopt:
  // it waits, for the source or for the limiter.
  std::optional<std::uint32_t> answer() {
    const std::uint32_t most = std::min(chain_.writable_bytes(), Rng::kMaxRequestBytes);
    if (most == 0) return 0;
    if (gate_ && !gate_->pass(1, most)) return std::nullopt;
    const std::uint32_t got = fill();
    if (gate_ && got != most) gate_->refund(got == 0 ? 1 : 0, most - got);
    if (got != 0) return got;
    wait_for_source();
    return std::nullopt;
  }

  // The bytes written; 0: the source has none now.
  std::uint32_t fill() {
    std::array<IoVec, Rng::kQueueSize> pieces;
    const std::size_t count =
        chain_.writer().unsafe_iovec(pieces, std::uint32_t{Rng::kMaxRequestBytes});
    ssize_t got = 0;
    int errors = 0;  // one may be of the moment: a hardware's, or a shortage of memory
    do {
      got =
          ::readv(source_, reinterpret_cast<const iovec*>(pieces.data()), static_cast<int>(count));
    } while (got < 0 && (errno == EINTR || (errno != EAGAIN && ++errors < kMostErrors)));
    ended_ = got == 0 || (got < 0 && errno != EAGAIN);
    if (got <= 0) return 0;
    chain_.mark_written(static_cast<std::uint32_t>(got));
    return static_cast<std::uint32_t>(got);
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
  std::shared_ptr<rate_limiter::RateLimiter> limiter_;
  std::optional<rate_limiter::RateGate> gate_;
  bool dry_ = false;    // nothing was there at the last read, and nobody has said otherwise
  bool ended_ = false;  // the last read said that there will never be more
  virtio_queue::ChainBuffer chain_{Rng::kQueueSize};
  event_manager::Registration source_watch_;
  event_manager::Registration gate_watch_;
};

}  // namespace

Result<std::shared_ptr<Rng>> Rng::create(UniqueFd source,
                                         std::shared_ptr<rate_limiter::RateLimiter> limiter) {
  VMM_TRY_DO(sys_util::set_nonblocking(source.get(), "entropy source: fcntl"));
  return std::shared_ptr<Rng>(new Rng(std::move(source), std::move(limiter)));
}

Result<std::shared_ptr<Rng>> Rng::open(const std::string& path,
                                       std::shared_ptr<rate_limiter::RateLimiter> limiter) {
  UniqueFd source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!source) return fail(Error::from_errno("open"));
  return std::shared_ptr<Rng>(new Rng(std::move(source), std::move(limiter)));
}

std::uint64_t Rng::features() const {
  return virtio_queue::kFeatureInOrder | virtio_queue::kFeatureRingReset;
}

Result<virtio_device::WorkerList> Rng::activate(Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<RngWorker>(source_.get(), limiter_, std::move(activation)));
  return workers;
}

}  // namespace vmm::virtio_rng
