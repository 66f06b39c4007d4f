// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "balloon_worker.h"

#include <chrono>
#include <utility>

#include "vmm/base/checked.h"

namespace vmm::virtio_balloon {
namespace {

using virtio_queue::Chain;
using virtio_queue::IoVec;

// The queues by their numbers in 5.5.2.
enum Function : std::size_t { kInflate, kDeflate, kStatistics, kHinting, kReporting, kFunctions };

constexpr std::array<std::uint64_t, kFunctions> kNeeds{0, 0, kFeatureStatistics,
                                                       kFeatureFreePageHint, kFeaturePageReporting};

/// The functions that the driver negotiated, ascending.
struct Negotiated {
  std::array<std::size_t, kFunctions> functions{};
  std::size_t count = 0;

  explicit Negotiated(std::uint64_t features) {
    for (std::size_t i = 0; i < kFunctions; ++i) {
      if ((features & kNeeds[i]) == kNeeds[i]) functions[count++] = i;
    }
  }
};

}  // namespace

// Drivers number their queues as 5.5.2 does, or without gaps (Linux up to some version does that
// on PCI): either way the functions that were negotiated are in the same order.
BalloonWorker::BalloonWorker(std::shared_ptr<Balloon::Shared> shared,
                             std::shared_ptr<Reclaim> reclaim, virtio_device::Activation activation)
    : shared_(std::move(shared)),
      reclaim_(std::move(reclaim)),
      memory_(activation.memory),
      may_poison_(activation.has(kFeaturePagePoison)),
      given_(*reclaim_, activation.has(kFeatureMustTellHost)) {
  const Negotiated negotiated(activation.features);
  const bool all = activation.queues.size() == negotiated.count;
  for (std::size_t i = 0; i < activation.queues.size(); ++i) {
    virtio_device::ActiveQueue& queue = activation.queues[i];
    const std::size_t function = all ? negotiated.functions[i] : queue.index;
    if ((activation.features & kNeeds[function]) != kNeeds[function]) continue;
    if (Runner* const runner = runner_of(function)) {
      runner->emplace(std::move(queue), activation.interrupt);
    }
  }
}

BalloonWorker::Runner* BalloonWorker::runner_of(std::size_t function) {
  switch (function) {
    case kInflate:
      return &inflate_;
    case kDeflate:
      return &deflate_;
    case kStatistics:
      return &statistics_;
    case kReporting:
      return &reporting_;
    default:
      return nullptr;
  }
}

Result<void> BalloonWorker::start(event_manager::EventLoop& loop) {
  const auto start_queue = [&](Runner& runner, auto serve) -> Result<void> {
    if (!runner) return {};
    return runner->start(loop, [this, &runner, serve] {
      runner->serve(chain_, [this, serve](const Chain& chain) {
        (this->*serve)(chain);
        return std::optional(std::uint32_t{0});
      });
    });
  };
  VMM_TRY_DO(start_queue(inflate_, &BalloonWorker::inflate));
  VMM_TRY_DO(start_queue(deflate_, &BalloonWorker::deflate));
  VMM_TRY_DO(start_queue(
      reporting_, static_cast<void (BalloonWorker::*)(const Chain&)>(&BalloonWorker::report)));
  return start_statistics(loop);
}

Result<void> BalloonWorker::start_statistics(event_manager::EventLoop& loop) {
  if (!statistics_) return {};
  VMM_TRY(request_watch_, loop.add(shared_->request().fd(), event_manager::kReadable,
                                   [this](event_manager::EventSet) {
                                     (void)shared_->request().take();
                                     statistics_wanted_ = true;
                                     answer_request();
                                   }));
  return statistics_->start(loop, [this] { take_statistics(); });
}

void BalloonWorker::inflate(const Chain& chain) {
  pages_.read(chain.reader());
  const auto map = memory_.share();
  pages_.for_each_run([&](const PageRun& run) { given_.give(map, run); });
}

void BalloonWorker::deflate(const Chain& chain) {
  pages_.read(chain.reader());
  const auto map = memory_.share();
  pages_.for_each_run([&](const PageRun& run) { given_.take(map, run); });
}

// Pages that hold something else than zeros may not change: 5.5.6.7.2.
void BalloonWorker::report(const Chain& chain) {
  if (may_poison_ && shared_->poison() != 0) return;
  for (const IoVec& piece : chain.unsafe_writable()) report(piece);
}

void BalloonWorker::report(const IoVec& piece) {
  const auto* const at = static_cast<const std::byte*>(piece.base);
  for (const auto& region : memory_.current().regions()) {
    const std::span<std::byte> host = region->host();
    if (at < host.data() || at >= host.data() + host.size()) continue;
    const auto offset = static_cast<std::uint64_t>(at - host.data());
    const std::uint64_t granule = reclaim_->granule(*region);
    const auto begin = align_up(offset, granule);
    const std::uint64_t end = align_down(offset + piece.bytes, granule);
    if (begin && *begin < end) reclaim_->reclaim(*region, {*begin, end - *begin});
    return;
  }
}

// The buffer stays here until statistics are wanted: 5.5.6.3.
void BalloonWorker::take_statistics() {
  if (statistics_buffer_) return;
  if (!statistics_->queue().refresh()) return (void)statistics_->pop(chain_);
  if (!statistics_->pop_or_listen(chain_)) {
    if (!statistics_->broken()) statistics_->flush();  // of malformed ones
    return;
  }
  shared_->set_statistics(Statistics::parse(chain_.reader(), std::chrono::steady_clock::now()));
  statistics_buffer_ = chain_.head();
  answer_request();
}

void BalloonWorker::answer_request() {
  if (!statistics_wanted_ || !statistics_buffer_) return;
  statistics_wanted_ = false;
  statistics_->complete(*statistics_buffer_, 0);
  statistics_buffer_.reset();
  statistics_->flush();
  statistics_->kick_again();
}

}  // namespace vmm::virtio_balloon
