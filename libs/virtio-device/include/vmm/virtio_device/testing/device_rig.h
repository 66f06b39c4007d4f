// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Drives any device on the thread of a test or a fuzzer, without a transport:
//
//   DeviceRig rig(device, {.packed = true});
//   REQUIRE(rig.start());
//   const auto answer = rig.exchange(0, {.readable = {bytes_of(header), data}, .writable = {1}});
//   REQUIRE(answer);
//   CHECK(answer->written == 1);
//   CHECK(answer->at<std::uint8_t>(0) == 0);
//
// hostile_chains.h has chains that no driver sends.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/event_manager/event_loop.h"
#include "vmm/event_manager/testing/run_until_idle.h"
#include "vmm/virtio_device/testing/guest_heap.h"
#include "vmm/virtio_device/testing/request.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_queue/driver/driver.h"

namespace vmm::virtio_device::testing {

using virtio_queue::driver::Buffer;

/// What the driver of a DeviceRig wants.
struct RigOptions {
  bool packed = false;     ///< VIRTIO_F_RING_PACKED
  bool event_idx = false;  ///< VIRTIO_F_EVENT_IDX
  bool in_order = false;   ///< VIRTIO_F_IN_ORDER
  /// Further features: those of the device's type, INDIRECT, RING_RESET, ...
  std::uint64_t features = 0;
  std::uint16_t queue_size = 64;              ///< less where the device's queues are shorter
  std::optional<std::uint16_t> only_queue{};  ///< the other ones are not enabled
  std::uint64_t ram_bytes = std::uint64_t{16} << 20;  ///< from GuestHeap::kBase on
  bool dirty_tracking = false;                        ///< see GuestHeap::memory()
  bool shared_ram = false;            ///< in a memfd, for devices of other processes
  std::byte* external_ram = nullptr;  ///< the RAM, if it is the caller's own; see GuestHeap
};

/// A device, RAM, and the driver's side of its queues, which are all set up and enabled.
///
/// Workers run in the functions that wait. What a device does on other threads works too.
class DeviceRig {
 public:
  using Milliseconds = std::chrono::milliseconds;  ///< of monotonic time
  static constexpr std::byte kUntouched{0xcc};     ///< fills writable parts at first
  /// Of functions that wait, if not told otherwise. Long, as machines may be busy.
  static constexpr Milliseconds kPatience{60'000};
  /// The device status from start() on.
  static constexpr std::uint8_t kRunning = kAcknowledge | kDriver | kFeaturesOk | kDriverOk;

  /// Takes the device; nothing is set up before start(), which says if the device was refused.
  explicit DeviceRig(std::shared_ptr<VirtioDevice> device, const RigOptions& options = {})
      : options_(options),
        heap_(options.ram_bytes, options.dirty_tracking, options.shared_ram, options.external_ram) {
    sink_.queues = std::vector<std::atomic<int>>(device->queue_sizes().size());
    auto core = TransportCore::create({.device = std::move(device),
                                       .memory = heap_.memory(),
                                       .workers = workers_,
                                       .sink = sink_});
    if (core) core_ = std::move(*core);
  }

  /// Initialises the device as 3.1.1 says. False when it refuses: core().status() tells where.
  [[nodiscard]] bool start() {
    if (core_ == nullptr) return false;
    reset();
    core_->set_status(kAcknowledge);
    core_->set_status(kAcknowledge | kDriver);
    core_->set_driver_features(0, static_cast<std::uint32_t>(features()));
    core_->set_driver_features(1, static_cast<std::uint32_t>(features() >> 32));
    core_->set_status(kAcknowledge | kDriver | kFeaturesOk);
    if (core_->status() != (kAcknowledge | kDriver | kFeaturesOk)) return false;
    for (std::uint16_t queue = 0; queue < core_->queue_count(); ++queue) {
      if (!set_up(queue)) return false;
    }
    core_->set_status(kRunning);
    return core_->status() == kRunning;
  }
  /// Resets the device; start() may follow.
  void reset() {
    core_->set_status(0);
    for (auto& [key, flight] : flights_) release(flight);
    flights_.clear();
    drivers_.clear();
  }
  /// What happens before a save: the device gives back what it can, and serves nothing any more.
  void drain() { workers_.drain(); }
  /// Whether the device runs and does not ask for a reset.
  [[nodiscard]] bool running() const { return core_->status() == kRunning; }

  /// Makes a request available and kicks. nullopt: the queue has no room.
  std::optional<std::uint16_t> send(std::uint16_t queue, const Request& request) {
    Flight flight;
    for (const Bytes& part : request.readable) {
      flight.buffers.push_back({heap_.put(part), static_cast<std::uint32_t>(part.size()), false});
    }
    for (const std::uint32_t bytes : request.writable) {
      const GuestAddress at = heap_.take(bytes);
      (void)heap_.view().fill(at, bytes, kUntouched);
      flight.buffers.push_back({at, bytes, true});
    }
    const auto token =
        request.indirect ? send_indirect(queue, flight) : send_raw(queue, flight.buffers);
    if (token) flights_[{queue, *token}] = std::move(flight);
    if (!token) release(flight);
    return token;
  }
  /// The same for parts anywhere and in any order, which the caller owns.
  std::optional<std::uint16_t> send_raw(std::uint16_t queue, std::span<const Buffer> buffers) {
    const auto token = add_raw(queue, buffers);
    if (token) publish(queue);
    return token;
  }
  /// send_raw() in two steps, between which descriptors may be spoiled.
  std::optional<std::uint16_t> add_raw(std::uint16_t queue, std::span<const Buffer> buffers) {
    const auto token = drivers_[queue].add(buffers);
    return token ? std::optional(*token) : std::nullopt;
  }
  /// Kicks, too, if the device wants it.
  void publish(std::uint16_t queue) {
    if (drivers_[queue].publish()) core_->kick(queue);
  }

  /// What has come back already.
  std::optional<Answer> receive(std::uint16_t queue) {
    const auto used = drivers_[queue].reap();
    if (!used || !used->has_value()) return std::nullopt;
    Answer answer{.token = (*used)->token, .written = (*used)->written, .bytes = {}};
    const auto found = flights_.find({queue, answer.token});
    if (found == flights_.end()) return answer;
    for (const Buffer& buffer : found->second.buffers) {
      if (!buffer.device_writable) continue;
      const Bytes part = heap_.read(buffer.address, buffer.length);
      answer.bytes.insert(answer.bytes.end(), part.begin(), part.end());
    }
    release(found->second);
    flights_.erase(found);
    return answer;
  }
  /// The next that comes back, after the device has sent the interrupt that it owes. nullopt:
  /// nothing came in time.
  std::optional<Answer> wait(std::uint16_t queue, Milliseconds patience = kPatience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    for (;;) {
      if (auto answer = receive(queue)) return answer;
      const int before = interrupts(queue);
      if (drivers_[queue].enable_interrupts()) return receive(queue);
      const auto left = std::chrono::ceil<Milliseconds>(end - std::chrono::steady_clock::now());
      if (!run_until([&] { return interrupts(queue) != before; }, left)) return std::nullopt;
      // A device that runs beside us may have sent this one for what was received before.
    }
  }
  /// send() and wait(). Precondition: nothing else is in flight on this queue.
  std::optional<Answer> exchange(std::uint16_t queue, const Request& request,
                                 Milliseconds patience = kPatience) {
    return send(queue, request) ? wait(queue, patience) : std::nullopt;
  }

  /// Runs the workers until `done()`; false when it does not come true in time.
  template <class Done>
  bool run_until(Done&& done, Milliseconds patience = kPatience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      (void)loop_.run_once(Milliseconds(1));
    }
    return true;
  }
  /// Runs the workers until they have nothing to do. False when there is no end of it.
  bool run() { return event_manager::testing::run_until_idle(loop_); }

  /// An object of the configuration space.
  template <class T>
  [[nodiscard]] T config(std::uint64_t offset) {
    T value{};
    core_->read_config(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  /// Writes an object to the configuration space, as the driver does.
  template <class T>
  void set_config(std::uint64_t offset, const T& value) {
    core_->write_config(offset, std::as_bytes(std::span(&value, 1)));
  }

  /// How many interrupts came so far.
  [[nodiscard]] int interrupts(std::uint16_t queue) const { return sink_.queues[queue]; }
  [[nodiscard]] int config_interrupts() const { return sink_.config; }  ///< so far

  [[nodiscard]] TransportCore& core() { return *core_; }  ///< the rig is its transport
  [[nodiscard]] GuestHeap& heap() { return heap_; }       ///< the RAM
  [[nodiscard]] vm_memory::MemoryView memory() const { return heap_.view(); }  ///< all of the RAM
  [[nodiscard]] event_manager::EventLoop& loop() { return loop_; }             ///< of the workers
  /// Precondition of this and of all that names a queue: start() succeeded, there is that queue.
  [[nodiscard]] virtio_queue::driver::Driver& driver(std::uint16_t queue) {
    return drivers_[queue];
  }
  /// Of a queue that start() has set up.
  [[nodiscard]] const virtio_queue::RingAddresses& rings(std::uint16_t queue) const {
    return core_->queue(queue)->rings();
  }
  [[nodiscard]] const RigOptions& options() const { return options_; }  ///< as given
  /// All that the driver asks for.
  [[nodiscard]] std::uint64_t features() const {
    return kFeatureVersion1 | options_.features |
           (options_.packed ? virtio_queue::kFeaturePacked : 0) |
           (options_.event_idx ? virtio_queue::kFeatureEventIdx : 0) |
           (options_.in_order ? virtio_queue::kFeatureInOrder : 0);
  }

 private:
  struct Sink final : InterruptSink {
    void queue_interrupt(std::uint16_t queue) override { ++queues[queue]; }
    void config_interrupt() override { ++config; }
    int queue_interrupt_fd(std::uint16_t) override { return -1; }

    std::vector<std::atomic<int>> queues;
    std::atomic<int> config{0};
  };
  struct Flight {
    std::vector<Buffer> buffers;
  };

  bool set_up(std::uint16_t queue) {
    virtio_queue::QueueConfig& config = *core_->editable_queue(queue);
    const std::uint16_t size = std::min(options_.queue_size, config.max_size());
    if (!config.set_size(size)) return false;
    while (rings_.size() <= queue) {
      rings_.push_back({.descriptors = heap_.take(ring_bytes()),
                        .driver = heap_.take(ring_bytes()),
                        .device = heap_.take(ring_bytes())});
    }
    const virtio_queue::QueueShape shape{.rings = rings_[queue],
                                         .size = size,
                                         .packed = options_.packed,
                                         .event_idx = options_.event_idx,
                                         .in_order = options_.in_order};
    auto driver = virtio_queue::driver::Driver::create(shape, heap_.view());
    if (!driver) return false;
    drivers_.push_back(std::move(*driver));
    (void)config.set_descriptors(shape.rings.descriptors);
    (void)config.set_driver(shape.rings.driver);
    (void)config.set_device(shape.rings.device);
    if (options_.only_queue.value_or(queue) != queue) return true;
    core_->enable_queue(queue);
    return config.ready();
  }
  // Where there are many queues, no more than they need.
  [[nodiscard]] std::uint64_t ring_bytes() const {
    if (core_->queue_count() <= kFewQueues) return kRingBytes;
    return std::max<std::uint64_t>(0x1000, options_.queue_size * kDescriptorBytes);
  }
  // The table is given back with the buffers.
  std::optional<std::uint16_t> send_indirect(std::uint16_t queue, Flight& flight) {
    const auto bytes = static_cast<std::uint32_t>(flight.buffers.size() * kDescriptorBytes);
    const GuestAddress table = heap_.take(bytes);
    const auto token = drivers_[queue].add_indirect(flight.buffers, table);
    flight.buffers.push_back({table, bytes, false});
    if (!token) return std::nullopt;
    publish(queue);
    return *token;
  }
  void release(const Flight& flight) {
    for (const Buffer& buffer : flight.buffers) heap_.give_back(buffer.address, buffer.length);
  }

  static constexpr std::uint64_t kRingBytes = 0x1'0000;  // of each part: up to 4096 entries
  static constexpr std::uint16_t kFewQueues = 5;
  static constexpr std::size_t kDescriptorBytes = 16;

  const RigOptions options_;
  GuestHeap heap_;
  event_manager::EventLoop loop_ = *event_manager::EventLoop::create();
  InlineWorkers workers_{loop_};
  Sink sink_;
  std::unique_ptr<TransportCore> core_;
  std::vector<virtio_queue::RingAddresses> rings_;
  std::vector<virtio_queue::driver::Driver> drivers_;
  std::map<std::pair<std::uint16_t, std::uint16_t>, Flight> flights_;  // by queue and token
};

}  // namespace vmm::virtio_device::testing
