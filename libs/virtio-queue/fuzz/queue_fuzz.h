// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Input: what kind of queue, guest memory, then calls. Guest memory is whatever the input says,
// also between calls and, in double-fetch mode, by a second agent during them. Invariants: each
// call ends; nothing outside of guest RAM changes; device-readable bytes change only where rings or
// writable buffers are; work is bounded by the ring; a completion works exactly once.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fuzz_input.h"
#include "queue_under_fuzz.h"
#include "second_agent.h"
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

/// Passes over faults, but wants them to be what they are said to be.
class Faults final : public vm_memory::FaultHandler {
 public:
  void missing(Iova, std::uint64_t bytes, vm_memory::Access) override { require(bytes != 0); }
  void denied(Iova, std::uint64_t bytes, vm_memory::Access) override { require(bytes != 0); }
};

/// RAM page by page at I/O addresses: the first one, where rings are, where it always is.
class IoPages {
 public:
  explicit IoPages(const vm_memory::GuestMemory& ram) : ram_(ram) { publish(); }

  [[nodiscard]] const vm_memory::GuestMemory& memory() const { return memory_; }
  /// Unmaps or maps a page, somewhere, with some permission.
  void change(std::uint8_t how) {
    Page& page = pages_[1 + how % 3];
    page = {.mapped = (how & 0x80) != 0,
            .target = static_cast<std::uint8_t>(how >> 2 & 3),
            .access = static_cast<vm_memory::Access>(how >> 4 & 3)};
    publish();
  }

 private:
  struct Page {
    bool mapped = true;
    std::uint8_t target = 0;
    vm_memory::Access access = vm_memory::Access::kReadWrite;
  };

  void publish() {
    vm_memory::Translation translation{
        .physical = ram_.snapshot(), .faults = faults_, .access = {}};
    const auto host = translation.physical->view().regions()[0].host;
    std::vector<vm_memory::RegionSpan> spans;
    for (std::size_t i = 0; i < pages_.size(); ++i) {
      if (!pages_[i].mapped) continue;
      spans.push_back({GuestAddress(kBase + i * kPage),
                       host.subspan(pages_[i].target * kPage, kPage), nullptr});
      translation.access.push_back(pages_[i].access);
    }
    memory_.replace(vm_memory::RegionMap::translated(std::move(spans), std::move(translation)));
  }

  const vm_memory::GuestMemory& ram_;
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  std::array<Page, kRamBytes / kPage> pages_{Page{.target = 0}, Page{.target = 1},
                                             Page{.target = 2}, Page{.target = 3}};
  vm_memory::GuestMemory memory_ = vm_memory::GuestMemory::adopt(vm_memory::RegionMap::empty());
};

class Run {
 public:
  Run(Input& input, bool packed)
      : input_(input),
        packed_(packed),
        settings_(input.byte()),
        image_bytes_(input.take<std::uint16_t>()),
        memory_(make_memory(arena_, (image_bytes_ & 0x8000) != 0)) {
    const std::vector<std::byte> image = input.bytes(image_bytes_ % kRamBytes);
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
    IoPages pages(memory_);
    const bool translated = (image_bytes_ & 0x4000) != 0;
    auto queue = config.activate(translated ? pages.memory() : memory_, position);
    if (!queue) return;
    std::optional<SecondAgent> agent;
    std::optional<SecondAgent::Turn> turn;
    if ((settings_ & 8) != 0) {
      agent.emplace(std::span(arena_.ram(), kRamBytes), input_.take<std::uint32_t>());
      turn.emplace(*agent);
    }
    std::function<void()> remap;
    if (translated) remap = [&] { pages.change(input_.byte()); };
    Calls calls(input_, *queue, {arena_.ram(), kRamBytes}, std::move(remap));
    for (int i = 0; i < 300 && !input_.empty(); ++i) calls.one();
    calls.drain();
    turn.reset();
    arena_.check();
  }

 private:
  static vm_memory::GuestMemory make_memory(const Arena& arena, bool dirty_tracking) {
    const vm_memory::RegionConfig ram{.base = GuestAddress(kBase),
                                      .bytes = kRamBytes,
                                      .backing = vm_memory::Backing::kExternal,
                                      .external = arena.ram(),
                                      .dirty_tracking = dirty_tracking};
    return *vm_memory::GuestMemory::create({&ram, 1});
  }

  Input& input_;
  bool packed_;
  std::uint8_t settings_;
  std::uint16_t image_bytes_;
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
