// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Input: what kind of queue, guest memory, then calls. Guest memory is whatever the input says,
// also between calls and, in double-fetch mode, by a thread during them. Invariants: each call
// ends; nothing outside of guest RAM changes; device-readable bytes change only where rings or
// writable buffers are; work is bounded by the ring; a completion works exactly once.

#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "fuzz_input.h"
#include "queue_under_fuzz.h"
#include "vmm/virtio_queue/queue_config.h"

namespace vmm::virtio_queue {
namespace {

constexpr std::uint64_t kBase = 0x1000;
constexpr std::size_t kRamBytes = 0x4000;
constexpr std::size_t kPage = 4096;

/// RAM between two pages that nobody may touch.
class Arena {
 public:
  Arena() : bytes_(kRamBytes + 3 * kPage, std::byte{0xa5}) {
    void* at = bytes_.data() + kPage;
    std::size_t space = bytes_.size() - kPage;
    ram_ = static_cast<std::byte*>(std::align(kPage, kRamBytes, at, space));
  }
  [[nodiscard]] std::byte* ram() const { return ram_; }
  void check() const {
    for (const std::byte* at = bytes_.data(); at != bytes_.data() + bytes_.size(); ++at) {
      if (at < ram_ || at >= ram_ + kRamBytes) require(*at == std::byte{0xa5});
    }
  }

 private:
  std::vector<std::byte> bytes_;
  std::byte* ram_;
};

/// The second agent: flips bytes of RAM while the device reads them.
class Flipper {
 public:
  Flipper(std::byte* ram, std::uint32_t seed)
      : thread_([this, ram, seed] {
          std::uint32_t state = seed | 1;
          while (!stop_) {
            state = state * 1664525 + 1013904223;
            __atomic_fetch_xor(reinterpret_cast<std::uint8_t*>(ram) + state % kRamBytes,
                               static_cast<std::uint8_t>(1u << (state >> 29)), __ATOMIC_RELAXED);
          }
        }) {}
  ~Flipper() {
    stop_ = true;
    thread_.join();
  }
  Flipper(const Flipper&) = delete;
  Flipper& operator=(const Flipper&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class Run {
 public:
  Run(Input& input, bool packed)
      : input_(input), packed_(packed), settings_(input.byte()), memory_(make_memory(arena_)) {
    const std::vector<std::byte> image = input.bytes(input.take<std::uint16_t>() % kRamBytes);
    std::copy(image.begin(), image.end(), arena_.ram());
  }

  void all() {
    QueueConfig config = *QueueConfig::create(64);
    config.set_features((packed_ ? kFeaturePacked : 0) | (settings_ & 1 ? kFeatureEventIdx : 0) |
                        (settings_ & 2 ? kFeatureInOrder : 0));
    (void)config.set_size(packed_ ? 1u + settings_ / 16 : 1u << (settings_ / 16 % 7));
    (void)config.set_descriptors(GuestAddress(kBase + (input_.byte() % 4) * 0x100));
    (void)config.set_driver(GuestAddress(kBase + 0x400 + input_.byte() * 2));
    (void)config.set_device(GuestAddress(kBase + 0x800 + input_.byte() * 4));
    config.set_ready(true);
    QueuePosition position = Queue::start_position(packed_);
    if (settings_ & 4) position = {input_.take<std::uint16_t>(), input_.take<std::uint16_t>()};
    auto queue = config.activate(memory_, position);
    if (!queue) return;
    // Double fetches are looked for by a thread, and only where no exact bytes are expected.
    const bool concurrent = (settings_ & 8) != 0;
    std::optional<Flipper> flipper;
    if (concurrent) flipper.emplace(arena_.ram(), input_.take<std::uint32_t>());
    Calls calls(input_, *queue, {arena_.ram(), kRamBytes});
    for (int i = 0; i < 300 && !input_.empty(); ++i) calls.one();
    calls.drain();
    flipper.reset();
    arena_.check();
  }

 private:
  static vm_memory::GuestMemory make_memory(const Arena& arena) {
    const vm_memory::RegionConfig ram{.base = GuestAddress(kBase),
                                      .bytes = kRamBytes,
                                      .backing = vm_memory::Backing::kExternal,
                                      .external = arena.ram(),
                                      .dirty_tracking = true};
    return *vm_memory::GuestMemory::create({&ram, 1});
  }

  Input& input_;
  bool packed_;
  std::uint8_t settings_;
  Arena arena_;
  vm_memory::GuestMemory memory_;
};

}  // namespace
}  // namespace vmm::virtio_queue

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  vmm::virtio_queue::Run(input, kFuzzPacked).all();
  return 0;
}
