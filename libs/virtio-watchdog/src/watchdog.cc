// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_watchdog/watchdog.h"

#include <cerrno>
#include <optional>
#include <utility>

#include "vmm/base/mutex.h"
#include "vmm/sys_util/timer_fd.h"
#include "vmm/virtio_device/single_queue_worker.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_watchdog {

using virtio_queue::Chain;

/// How long the driver may still be silent. Threads: any.
class Watchdog::Watch {
 public:
  Watch(Options options, sys_util::TimerFd timer)
      : options_(std::move(options)), timer_(std::move(timer)) {}

  [[nodiscard]] int timer_fd() const { return timer_.fd(); }

  void sign_of_life() {
    const MutexLock lock(mutex_);
    watching_ = true;
    if (!paused_) start();
  }
  void pause() {
    const MutexLock lock(mutex_);
    paused_ = true;
    stop();
  }
  void resume() {
    const MutexLock lock(mutex_);
    paused_ = false;
    if (watching_) start();
  }
  void forget() {
    const MutexLock lock(mutex_);
    watching_ = false;
    stop();
  }
  /// The timer went off, unless a sign of life or a pause came before this call.
  void expire() {
    {
      const MutexLock lock(mutex_);
      const auto expirations = timer_.take();
      if (!expirations || *expirations == 0) return;
      watching_ = false;
    }
    options_.on_expiry();
  }

 private:
  // Neither can fail: the timer exists, and its timeout is positive.
  void start() VMM_REQUIRES(mutex_) { (void)timer_.arm({.after = options_.timeout}).has_value(); }
  void stop() VMM_REQUIRES(mutex_) { (void)timer_.disarm().has_value(); }

  const Options options_;
  const sys_util::TimerFd timer_;
  Mutex mutex_;
  bool watching_ VMM_GUARDED_BY(mutex_) = false;
  bool paused_ VMM_GUARDED_BY(mutex_) = false;
};

class Watchdog::WatchdogWorker final : public virtio_device::SingleQueueWorker {
 public:
  WatchdogWorker(std::shared_ptr<Watch> watch, virtio_device::Activation activation)
      : SingleQueueWorker(std::move(activation)), watch_(std::move(watch)) {}
  ~WatchdogWorker() override { watch_->forget(); }

  Result<void> start(event_manager::EventLoop& loop) override {
    VMM_TRY(timer_, loop.add(watch_->timer_fd(), event_manager::kReadable,
                             [this](event_manager::EventSet) { watch_->expire(); }));
    return SingleQueueWorker::start(loop);
  }

 private:
  // However many buffers there are, it is one sign of life.
  void serve() override {
    bool alive = false;
    runner().serve(chain_, [&alive](const Chain& chain) -> std::optional<std::uint32_t> {
      if (!chain.writer().write_obj(std::uint8_t{1})) return 0;
      alive = true;
      return 1;
    });
    if (alive) watch_->sign_of_life();
  }

  std::shared_ptr<Watch> watch_;
  virtio_queue::InlineChain<8> chain_;
  event_manager::Registration timer_;
};

Result<std::shared_ptr<Watchdog>> Watchdog::create(Options options) {
  if (!options.on_expiry || options.timeout <= std::chrono::nanoseconds(0)) {
    return fail(Error::os(EINVAL, "virtio watchdog"));
  }
  VMM_TRY(auto timer, sys_util::TimerFd::create());
  auto watch = std::make_shared<Watch>(std::move(options), std::move(timer));
  return std::shared_ptr<Watchdog>(new Watchdog(std::move(watch)));
}

Watchdog::~Watchdog() = default;

void Watchdog::pause() { watch_->pause(); }
void Watchdog::resume() { watch_->resume(); }

std::uint64_t Watchdog::features() const {
  return virtio_queue::kFeatureInOrder | virtio_queue::kFeatureRingReset;
}

Result<virtio_device::WorkerList> Watchdog::activate(virtio_device::Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<WatchdogWorker>(watch_, std::move(activation)));
  return workers;
}

void Watchdog::reset() { watch_->forget(); }

}  // namespace vmm::virtio_watchdog
