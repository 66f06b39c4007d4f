// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A device for tests of transports, and an example of the interface: each request is answered with
// a copy of what it says.

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_device::testing {

/// Serves its queues on one worker. Its 12 bytes of configuration space are plain memory.
///
/// Its state is one byte, which it puts before each answer unless it is 0. A reset forgets it.
class EchoDevice final : public VirtioDevice, public StateOwner {
 public:
  static constexpr std::uint16_t kQueueSize = 16;        ///< entries
  static constexpr std::size_t kConfigBytes = 12;        ///< of plain memory
  static constexpr std::uint64_t kFeature = feature(3);  ///< of its type, without a meaning

  /// Has `queues` queues; `queue_features`: as VirtioDevice::queue_features().
  explicit EchoDevice(std::size_t queues = 2, std::uint64_t queue_features = ~std::uint64_t{0})
      : queue_sizes_(queues, kQueueSize), queue_features_(queue_features) {}

  [[nodiscard]] DeviceType type() const override { return DeviceType::kEntropy; }  ///< of any type
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return queue_sizes_; }
  [[nodiscard]] std::uint64_t features() const override {
    return kFeature | virtio_queue::kFeatureInOrder |
           (ring_reset_ ? virtio_queue::kFeatureRingReset : 0);
  }
  [[nodiscard]] std::uint64_t queue_features() const override { return queue_features_; }
  [[nodiscard]] std::size_t config_bytes() const override { return kConfigBytes; }
  void read_config(std::span<std::byte> config) override {
    const MutexLock lock(mutex_);
    std::ranges::copy(config_, config.begin());
  }
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override {
    const MutexLock lock(mutex_);
    std::ranges::copy(data, config_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  [[nodiscard]] bool accepts(std::uint64_t features) const override {
    return (features & wanted_) == wanted_;
  }
  void set_features(std::uint64_t features) override { chosen_ = features; }
  Result<WorkerList> activate(Activation activation) override;
  void reset() override {
    const MutexLock lock(mutex_);
    ++resets_;
    tag_ = 0;
    interrupt_.reset();
  }
  [[nodiscard]] StateOwner* state_owner() override { return this; }
  [[nodiscard]] std::vector<std::byte> save_state() override {
    return std::vector<std::byte>(state_bytes_, std::byte{tag_.load()});
  }
  Result<void> load_state(std::span<const std::byte> state) override {
    if (state.size() != state_bytes_) return fail(Error::os(EINVAL, "state of the echo device"));
    tag_ = static_cast<std::uint8_t>(state[0]);
    return {};
  }

  // What tests do with it and ask it.

  /// Fills the configuration space, as a device does on its own account.
  void fill_config(std::byte value) {
    {
      const MutexLock lock(mutex_);
      config_.fill(value);
    }
    if (const auto driver = interrupt()) driver->config_changed();
  }
  /// Sets the state; 0: none.
  void set_tag(char tag) { tag_ = static_cast<std::uint8_t>(tag); }
  /// How large it says its state is; at least 1.
  void set_state_bytes(std::size_t bytes) { state_bytes_ = bytes; }
  /// Requests are popped and then wait, each on its worker's thread, until this says no.
  void hold(bool yes) {
    hold_ = yes;
    hold_.notify_all();
  }
  [[nodiscard]] int holding() const { return holding_; }  ///< requests that wait in hold() now
  /// Whether it offers RING_RESET; for those who look at it from now on.
  void offer_ring_reset(bool yes) { ring_reset_ = yes; }
  /// A driver without all of these features is refused from now on.
  void want_features(std::uint64_t features) { wanted_ = features; }
  /// The next activations are refused.
  void refuse(bool yes) { refuse_ = yes; }
  /// The driver's end of the last activation; nullptr after a reset.
  [[nodiscard]] std::shared_ptr<Interrupt> interrupt() {
    const MutexLock lock(mutex_);
    return interrupt_;
  }
  [[nodiscard]] std::uint64_t chosen() const { return chosen_; }  ///< by set_features()
  /// At the last activation.
  [[nodiscard]] std::uint64_t negotiated() const { return negotiated_; }
  [[nodiscard]] int activations() const { return activations_; }  ///< that were not refused
  [[nodiscard]] int resets() const { return resets_; }            ///< so far
  [[nodiscard]] int workers() const { return workers_; }          ///< that exist now
  [[nodiscard]] int served() const { return served_; }            ///< requests
  [[nodiscard]] int moves() const { return moves_; }              ///< of interrupts

 private:
  class EchoWorker;

  std::vector<std::uint16_t> queue_sizes_;
  std::uint64_t queue_features_;
  Mutex mutex_;
  std::array<std::byte, kConfigBytes> config_ VMM_GUARDED_BY(mutex_){};
  std::shared_ptr<Interrupt> interrupt_ VMM_GUARDED_BY(mutex_);
  std::atomic<std::uint8_t> tag_{0};
  std::atomic<std::size_t> state_bytes_{1};
  std::atomic<bool> ring_reset_{true};
  std::atomic<bool> refuse_{false};
  std::atomic<bool> hold_{false};
  std::atomic<int> holding_{0};
  std::atomic<std::uint64_t> wanted_{0};
  std::atomic<std::uint64_t> chosen_{0};
  std::atomic<std::uint64_t> negotiated_{0};
  std::atomic<int> activations_{0};
  std::atomic<int> resets_{0};
  std::atomic<int> workers_{0};
  std::atomic<int> served_{0};
  std::atomic<int> moves_{0};
};

/// Serves all queues of one activation.
class EchoDevice::EchoWorker final : public Worker {
 public:
  /// Made by activate(); the device outlives it.
  EchoWorker(EchoDevice& device, std::shared_ptr<Interrupt> interrupt,
             std::vector<ActiveQueue> queues)
      : device_(device), interrupt_(std::move(interrupt)), waiting_(std::move(queues)) {
    ++device_.workers_;
  }
  ~EchoWorker() override { --device_.workers_; }

  Result<void> start(event_manager::EventLoop& loop) override {
    loop_ = &loop;
    for (ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
    waiting_.clear();
    return {};
  }
  void move_interrupts() override { ++device_.moves_; }
  bool stop_queue(std::uint16_t index) override {
    return std::erase_if(running_, [&](const auto& r) { return r->index() == index; }) != 0;
  }
  Result<void> start_queue(ActiveQueue& queue) override {
    running_.push_back(std::make_unique<QueueRunner>(std::move(queue), interrupt_));
    QueueRunner& runner = *running_.back();
    return runner.start(*loop_, [this, &runner] {
      runner.serve(chain_, [this](virtio_queue::Chain& chain) { return echo(chain); });
    });
  }

 private:
  std::optional<std::uint32_t> echo(virtio_queue::Chain& chain) {
    virtio_queue::Reader reader = chain.reader();
    virtio_queue::Writer writer = chain.writer();
    const std::uint8_t tag = device_.tag_;
    buffer_[0] = std::byte{tag};
    const std::size_t read = reader.read(std::span(buffer_).subspan(1));
    ++device_.holding_;
    device_.hold_.wait(true);
    --device_.holding_;
    ++device_.served_;
    const auto answer = std::span(buffer_).first(1 + read).subspan(tag == 0 ? 1 : 0);
    return static_cast<std::uint32_t>(writer.write(answer));
  }

  EchoDevice& device_;
  std::shared_ptr<Interrupt> interrupt_;
  std::vector<ActiveQueue> waiting_;
  event_manager::EventLoop* loop_ = nullptr;
  virtio_queue::InlineChain<16> chain_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(257);
  std::vector<std::unique_ptr<QueueRunner>> running_;
};

inline Result<WorkerList> EchoDevice::activate(Activation activation) {
  if (refuse_) return fail(Error::os(EIO, "activate the echo device"));
  ++activations_;
  negotiated_ = activation.features;
  {
    const MutexLock lock(mutex_);
    interrupt_ = activation.interrupt;
  }
  WorkerList workers;
  workers.push_back(std::make_unique<EchoWorker>(*this, std::move(activation.interrupt),
                                                 std::move(activation.queues)));
  return workers;
}

}  // namespace vmm::virtio_device::testing
