// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Plays a fuzzer's input as the driver of any of the virtio devices behind a transport (Board): a
// script of register accesses, guest memory with rings and buffers, which the script may spoil, and
// what the host does. Whatever the script says: memory outside of RAM stays as it is
// (guarded_ram.h), each step ends, a device that is started runs or asks for a reset, and after a
// reset a driver can set it up, its request is answered, and an interrupt tells of it. Steps of
// double-fetch mode run the device beside a second agent (second_agent.h).

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "any_device.h"
#include "fuzz_input.h"
#include "guarded_ram.h"
#include "second_agent.h"
#include "vmm/event_manager/testing/run_until_idle.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_queue/driver/driver.h"

/// What a driver wants of a queue.
struct QueueSetup {
  std::uint16_t queue = 0;
  std::uint16_t size = 0;
  vmm::virtio_queue::RingAddresses rings;
};

/// Where the script's rings are: below its buffers.
inline vmm::virtio_queue::RingAddresses rings_of(std::uint16_t queue) {
  const std::uint64_t base = 0x1000 + 0x3000 * std::uint64_t{queue};
  return {.descriptors = vmm::GuestAddress(base),
          .driver = vmm::GuestAddress(base + 0x1000),
          .device = vmm::GuestAddress(base + 0x2000)};
}

/// `Board` is a transport on its buses: see device_on_mmio_fuzz.cc.
template <class Board>
class DeviceScript {
 public:
  static constexpr std::size_t kRamBytes = 0x4'0000;

  explicit DeviceScript(Input& input)
      : input_(input),
        any_(make_any_device(input.byte() % kAnyDevices)),
        queues_(static_cast<std::uint16_t>(any_.device->queue_sizes().size())),
        board_(any_.device, ram_.data()) {}

  void play() {
    for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) act(input_.byte());
    run();
    check_status();
    revive();
    ram_.check();
  }

 private:
  static constexpr int kMaxSteps = 96;
  static constexpr int kMaxRounds = 1000;
  static constexpr std::uint16_t kQueueSize = 8;
  static constexpr std::uint64_t kBuffers = 0x2'0000;
  static constexpr std::uint64_t kBufferBytes = 0x1000;
  static constexpr std::uint64_t kBufferCount = 0x1f;  // the last page is for the probe's table

  void act(std::uint8_t kind) {
    switch (kind / 16) {
      case 0:
        return start(kind);
      case 1:
      case 2:
      case 3:
        return send(kind);
      case 4:
        return run_with_agent();
      case 5:
        return write_memory();
      case 6:
        return any_.host(input_.byte());
      case 7:
        return take_back();
      case 8:
      case 9:
        return run();
      default:
        return board_.access(kind, input_);
    }
  }

  // Zeros ask for all that the device has, with split rings.
  void start(std::uint8_t kind) {
    std::uint64_t features = board_.offered() & ~input_.take<std::uint64_t>();
    if ((kind & 1) == 0) features &= ~vmm::virtio_queue::kFeaturePacked;
    if ((kind & 2) == 0) features &= ~vmm::virtio_queue::kFeatureEventIdx;
    (void)set_up(features);
  }
  bool set_up(std::uint64_t features) {
    namespace queue = vmm::virtio_queue;
    features |= vmm::virtio_device::kFeatureVersion1;
    board_.reset();  // before its rings change
    drivers_.clear();
    std::vector<QueueSetup> setups;
    for (std::uint16_t i = 0; i < queues_; ++i) {
      const auto size = std::min(kQueueSize, any_.device->queue_sizes()[i]);
      setups.push_back({.queue = i, .size = size, .rings = rings_of(i)});
      const queue::QueueShape shape{.rings = rings_of(i),
                                    .size = size,
                                    .packed = (features & queue::kFeaturePacked) != 0,
                                    .event_idx = (features & queue::kFeatureEventIdx) != 0,
                                    .in_order = (features & queue::kFeatureInOrder) != 0};
      drivers_.push_back(*queue::driver::Driver::create(shape, board_.memory().view()));
    }
    return board_.start(features, setups);
  }

  // A request whose parts are in RAM; the buffers are used in turn.
  void send(std::uint8_t kind) {
    if (drivers_.empty()) return;
    vmm::virtio_device::testing::Request request;
    const auto queue = static_cast<std::uint16_t>(input_.byte() % queues_);
    for (int i = 0; i < kind % 4; ++i) request.readable.push_back(input_.bytes(input_.byte()));
    for (int i = 0; i < kind / 4 % 4; ++i) {
      request.writable.push_back(input_.take<std::uint16_t>() % (kBufferBytes + 1));
    }
    request.indirect = kind >= 0x30;
    send(queue, request);
  }
  bool send(std::uint16_t queue, const vmm::virtio_device::testing::Request& request) {
    std::vector<vmm::virtio_queue::driver::Buffer> buffers;
    for (const auto& part : request.readable) {
      const auto at = next_buffer();
      (void)board_.memory().view().write_bytes(at, part);
      buffers.push_back({at, static_cast<std::uint32_t>(part.size()), false});
    }
    for (const std::uint32_t bytes : request.writable) {
      buffers.push_back({next_buffer(), bytes, true});
    }
    auto& driver = drivers_[queue];
    const bool added = request.indirect ? driver.add_indirect(buffers, next_buffer()).has_value()
                                        : driver.add(buffers).has_value();
    if (added && driver.publish()) board_.kick(queue);
    return added;
  }
  vmm::GuestAddress next_buffer() {
    return vmm::GuestAddress(kBuffers + kBufferBytes * (buffer_++ % kBufferCount));
  }

  void run_with_agent() {
    SecondAgent agent(ram_.bytes(), input_.take<std::uint32_t>());
    const SecondAgent::Turn turn(agent);
    run();
  }
  void write_memory() {
    const std::uint64_t at = input_.take<std::uint32_t>() % kRamBytes;
    (void)board_.memory().view().write_bytes(vmm::GuestAddress(at), some_bytes());
  }
  // Out of line: GCC 12 takes what follows a copy of at most 255 bytes for a mistake.
  [[gnu::noinline]] std::vector<std::byte> some_bytes() { return input_.bytes(input_.byte()); }
  void take_back() {
    for (auto& driver : drivers_) {
      for (std::uint16_t i = 0; i < kQueueSize; ++i) {
        const auto used = driver.reap();
        if (!used || !used->has_value()) break;
      }
    }
  }

  // DRIVER_OK is not without FEATURES_OK, and each bit is one that there is.
  void check_status() {
    namespace device = vmm::virtio_device;
    const std::uint8_t status = board_.status();
    require((status & ~(device::kAcknowledge | device::kDriver | device::kFeaturesOk |
                        device::kDriverOk | device::kNeedsReset | device::kFailed)) == 0);
    require((status & device::kDriverOk) == 0 || (status & device::kFeaturesOk) != 0);
  }

  // Until nothing is left to do, of which there is an end.
  void run() { require(vmm::event_manager::testing::run_until_idle(board_.loop(), kMaxRounds)); }
  template <class Done>
  bool run_until(Done&& done) {
    for (int round = 0; round < kMaxRounds; ++round) {
      if (done()) return true;
      (void)board_.loop().run_once(std::chrono::milliseconds(10));
    }
    return false;
  }

  // What a driver that comes next does: no trace of the last one holds it up.
  void revive() {
    board_.reset();
    require(board_.status() == 0);
    any_.host(0xff);  // which makes room
    const std::uint64_t unwanted =
        (input_.byte() & 1) != 0 ? 0 : std::uint64_t{vmm::virtio_queue::kFeaturePacked};
    require(set_up(board_.offered() & ~unwanted));
    require(send(any_.probe_queue, any_.probe));
    const bool answered = run_until([this] {
      const auto used = drivers_[any_.probe_queue].reap();
      return used && used->has_value();
    });
    require(answered && board_.interrupted(any_.probe_queue));
    check_status();
  }

  Input& input_;
  AnyDevice any_;
  const std::uint16_t queues_;
  const GuardedRam ram_{kRamBytes};
  Board board_;
  std::vector<vmm::virtio_queue::driver::Driver> drivers_;
  std::uint64_t buffer_ = 0;
};
