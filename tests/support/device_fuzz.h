// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Plays a fuzzer's input as the driver of a virtio device:
//
//   extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
//     Input input(data, size);
//     fuzz_device(make_device(), input);
//     return 0;
//   }
//
// Whatever the driver does: memory outside the RAM stays as it is (guarded_ram.h), each step ends,
// the device wants a reset at worst, and after one it can be set up again. The same holds in
// double-fetch mode, which bit 4 of the driver's options asks for: a second agent changes guest
// memory while the device reads it (second_agent.h).
//
// What a device answers is for a DriverWatch to check.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "guarded_ram.h"
#include "second_agent.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

/// A request that came back.
struct Exchange {
  std::uint16_t queue = 0;
  vmm::virtio_device::testing::Request request;
  std::uint64_t mark = 0;  ///< what DriverWatch::sent() said
  vmm::virtio_device::testing::Answer answer;

  /// All readable parts.
  [[nodiscard]] std::vector<std::byte> sent() const {
    std::vector<std::byte> all;
    for (const auto& part : request.readable) all.insert(all.end(), part.begin(), part.end());
    return all;
  }
  /// How many bytes the device could write.
  [[nodiscard]] std::size_t room() const {
    return std::accumulate(request.writable.begin(), request.writable.end(), std::size_t{0});
  }
  /// Aborts unless the device has written so many bytes, and has left those behind them alone.
  void require_written(std::size_t bytes) const {
    require(answer.written == bytes && answer.bytes.size() == room() && bytes <= room());
    for (std::size_t i = bytes; i < answer.bytes.size(); ++i) {
      require(answer.bytes[i] == vmm::virtio_device::testing::DeviceRig::kUntouched);
    }
  }
};

/// Hears of a driver's requests and answers, as long as it is known what they are: until the driver
/// does something that may spoil them, and from the next start of the device on. Not in
/// double-fetch mode.
class DriverWatch {
 public:
  virtual ~DriverWatch() = default;
  /// The device was started; requests that were in flight do not come back.
  virtual void started(std::uint64_t /*features*/) {}
  /// Nothing is known any more.
  virtual void lost() {}
  /// Returns what answered() is told with the answer.
  virtual std::uint64_t sent(std::uint16_t /*queue*/,
                             const vmm::virtio_device::testing::Request& /*request*/) {
    return 0;
  }
  virtual void answered(const Exchange& /*exchange*/) {}
  /// Before and after each write to the configuration space, honest or not.
  virtual void config_write(bool /*begins*/) {}
};

/// One driver, its device and its input.
class FuzzedDriver {
 public:
  using Rig = vmm::virtio_device::testing::DeviceRig;
  /// What else may happen to the device meanwhile: its host side. Takes what it needs of the input.
  using HostEvent = std::function<void(Input&)>;

  FuzzedDriver(std::shared_ptr<vmm::virtio_device::VirtioDevice> device, Input& input,
               HostEvent host_event, DriverWatch* watch)
      : input_(input),
        host_event_(std::move(host_event)),
        watch_(watch),
        bits_(input.byte()),
        rig_(device, options(*device, bits_, input, ram_.data())),
        queues_(device->queue_sizes().size()) {
    if ((bits_ & 0x10) == 0) return;
    agent_.emplace(rig_.memory().regions()[0].host, input.take<std::uint32_t>());
  }

  void play() {
    start();
    for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) act(input_.byte());
    run();
    take_back();
    require((rig_.core().status() & ~vmm::virtio_device::kNeedsReset) == Rig::kRunning);
    start();
    rig_.run();
    require(rig_.running());
    ram_.check();
  }

 private:
  static constexpr int kMaxSteps = 64;
  static constexpr std::uint32_t kRamBytes = 1 << 20;

  static vmm::virtio_device::testing::RigOptions options(vmm::virtio_device::VirtioDevice& device,
                                                         std::uint8_t bits, Input& input,
                                                         std::byte* ram) {
    namespace queue = vmm::virtio_queue;
    const std::uint64_t wanted = ~input.take<std::uint64_t>();  // zeros ask for everything
    const std::uint64_t offered = device.features();
    return {.packed = (bits & 1) != 0,
            .event_idx = (bits & 2) != 0,
            .in_order = (bits & 4) != 0 && (offered & queue::kFeatureInOrder) != 0,
            .features = (offered & wanted & vmm::virtio_device::kDeviceFeatures) |
                        (offered & queue::kFeatureRingReset) | queue::kFeatureIndirect,
            .queue_size = 16,
            .ram_bytes = kRamBytes,
            .dirty_tracking = (bits & 8) != 0,
            .external_ram = ram};
  }

  // Out of line: GCC 12 takes what follows a copy of at most 255 bytes for a mistake.
  [[gnu::noinline]] std::vector<std::byte> some_bytes() { return input_.bytes(input_.byte()); }
  std::uint16_t queue() { return static_cast<std::uint16_t>(input_.byte() % queues_); }

  void act(std::uint8_t kind) {
    switch (kind % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
        return send_good();
      case 4:
        return send_anywhere();
      case 5:
        return send_hostile();
      case 6:
        return write_memory();
      case 7:
        return use_config();
      case 8:
        return kick(queue());
      case 9:
        return take_back();
      case 10:
        return reset_queue();
      case 11:
        return start();
      case 12:
        if (host_event_) host_event_(input_);
        return;
      default:
        return run();
    }
  }

  void start() {
    require(rig_.start());
    sent_.clear();
    is_watched_ = watch_ != nullptr && !agent_;
    if (is_watched_) watch_->started(rig_.features());
  }
  // From now on, answers may be to other requests than ours, and elsewhere.
  void lose() {
    if (is_watched_) watch_->lost();
    is_watched_ = false;
  }

  // The device's side, and in double-fetch mode the second agent beside it.
  void run() {
    std::optional<SecondAgent::Turn> turn;
    if (agent_) turn.emplace(*agent_);
    require(rig_.run());
  }
  void kick(std::uint16_t queue) {
    std::optional<SecondAgent::Turn> turn;
    if (agent_) turn.emplace(*agent_);
    rig_.core().kick(queue);
  }

  // Parts inside RAM, readable ones first, with contents of the input; at bit 6 behind a table.
  void send_good() {
    vmm::virtio_device::testing::Request request;
    const std::uint16_t to = queue();
    const std::uint8_t shape = input_.byte();
    for (int i = 0; i < shape % 4; ++i) request.readable.push_back(some_bytes());
    for (int i = 0; i < shape / 4 % 4; ++i) {
      request.writable.push_back(input_.take<std::uint16_t>() % 4096u);
    }
    request.indirect = (shape & 0x40) != 0 && shape % 16 != 0;
    const auto token = rig_.send(to, request);
    if (rig_.heap().ran_out()) lose();
    if (token && is_watched_) {
      const std::uint64_t mark = watch_->sent(to, request);
      sent_[{to, *token}] = {
          .queue = to, .request = std::move(request), .mark = mark, .answer = {}};
    }
    if ((shape & 0x80) != 0) run();
  }
  void send_anywhere() {
    lose();
    std::vector<vmm::virtio_device::testing::Buffer> buffers;
    const std::uint16_t to = queue();
    const int count = 1 + input_.byte() % 4;
    for (int i = 0; i < count; ++i) {
      const auto address = input_.take<std::uint32_t>() % (kRamBytes + 0x2'0000);
      const auto length = input_.take<std::uint16_t>();
      buffers.push_back({vmm::GuestAddress(address), length, (input_.byte() & 1) != 0});
    }
    (void)rig_.send_raw(to, buffers);
  }
  void send_hostile() {
    lose();
    const std::uint16_t to = queue();
    const auto chains = vmm::virtio_device::testing::hostile_chains();
    (void)chains[input_.byte() % chains.size()].send(rig_, to);
  }
  // Rings first: that is where the heap begins.
  void write_memory() {
    lose();
    const auto at = rig_.heap().kBase + input_.take<std::uint32_t>() % kRamBytes;
    (void)rig_.memory().write_bytes(vmm::GuestAddress(at), some_bytes());
  }
  void use_config() {
    const std::uint64_t offset = input_.byte();
    std::array<std::byte, 16> data{};
    rig_.core().read_config(offset, data);
    const auto bytes = input_.bytes(input_.byte() % 9);
    if (bytes.empty()) return;
    if (watch_ != nullptr) watch_->config_write(true);
    rig_.core().write_config(offset, bytes);
    if (watch_ != nullptr) watch_->config_write(false);
  }
  void take_back() {
    for (std::uint16_t i = 0; i < queues_; ++i) {
      while (auto answer = rig_.receive(i)) {
        if (is_watched_) tell(i, std::move(*answer));
      }
    }
  }
  void tell(std::uint16_t queue, vmm::virtio_device::testing::Answer answer) {
    const auto found = sent_.find({queue, answer.token});
    require(found != sent_.end());
    found->second.answer = std::move(answer);
    watch_->answered(found->second);
    sent_.erase(found);
  }
  // The driver's side of the queue does not know it; its chains go nowhere from then on.
  void reset_queue() {
    lose();
    const std::uint16_t which = queue();
    const vmm::virtio_queue::QueueConfig before = *rig_.core().queue(which);
    rig_.core().reset_queue(which);
    vmm::virtio_queue::QueueConfig* const config = rig_.core().editable_queue(which);
    if (config == nullptr || (input_.byte() & 1) == 0) return;
    (void)config->set_size(before.size());
    (void)config->set_descriptors(before.rings().descriptors);
    (void)config->set_driver(before.rings().driver);
    (void)config->set_device(before.rings().device);
    rig_.core().enable_queue(which);
  }

  Input& input_;
  HostEvent host_event_;
  DriverWatch* const watch_;
  const std::uint8_t bits_;
  const GuardedRam ram_{kRamBytes};
  Rig rig_;
  std::size_t queues_;
  std::optional<SecondAgent> agent_;
  bool is_watched_ = false;
  std::map<std::pair<std::uint16_t, std::uint16_t>, Exchange> sent_;  // by queue and token
};

inline void fuzz_device(std::shared_ptr<vmm::virtio_device::VirtioDevice> device, Input& input,
                        FuzzedDriver::HostEvent host_event = {}, DriverWatch* watch = nullptr) {
  FuzzedDriver(std::move(device), input, std::move(host_event), watch).play();
}
