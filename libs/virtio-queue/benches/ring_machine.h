// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Rings with ready-made chains, as a driver leaves them, which a row serves again and again.

#include <cstdint>
#include <vector>

#include "bench.h"
#include "vmm/virtio_queue/queue_config.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_queue {

using bench::keep;
using bench::opaque;
using vm_memory::GuestMemory;
using vm_memory::MemoryView;

inline constexpr std::uint64_t kMiB = 1 << 20;
inline constexpr std::uint64_t kGiB = 1 << 30;
inline constexpr std::uint16_t kSize = 256;

/// Where the parts of the queue are.
struct Places {
  std::uint64_t table;
  std::uint64_t avail;
  std::uint64_t used;
  std::uint64_t indirect;
};
constexpr Places apart(std::uint64_t base) {
  return {base, base + 0x1000, base + 0x2000, base + 0x4000};
}

struct Buffer {
  std::uint64_t address;
  std::uint32_t length;
  bool writable;
};

struct Options {
  bool packed = false;
  bool event_idx = false;
};

/// Memory, rings and a queue. chain() appends a chain; start() begins to serve.
class Machine {
 public:
  Machine(std::vector<vm_memory::RegionConfig> regions, const Places& places, Options options = {})
      : memory(*GuestMemory::create(regions)), places_(places), options_(options) {}

  void chain(const std::vector<Buffer>& buffers, bool indirect = false) {
    std::uint64_t at = places_.table + 16 * std::uint64_t{next_};
    const std::uint16_t head = next_;
    if (indirect) {
      write(at, places_.indirect, static_cast<std::uint32_t>(16 * buffers.size()), kDescIndirect,
            head, static_cast<std::uint16_t>(chains_), true);
      at = places_.indirect;
      places_.indirect += 16 * buffers.size();
    }
    for (std::size_t i = 0; i < buffers.size(); ++i, at += 16) {
      const bool last = i + 1 == buffers.size();
      const auto flags = static_cast<std::uint16_t>((buffers[i].writable ? kDescWrite : 0) |
                                                    (last ? 0 : kDescNext));
      const auto next = static_cast<std::uint16_t>((indirect ? i : next_ + i) + 1);
      write(at, buffers[i].address, buffers[i].length, flags, next,
            static_cast<std::uint16_t>(chains_), !indirect);
    }
    heads_.push_back(head);
    next_ = static_cast<std::uint16_t>(next_ + (indirect ? 1 : buffers.size()));
    ++chains_;
  }

  Queue start() {
    const MemoryView view = memory.view();
    if (!options_.packed) {
      for (std::uint32_t i = 0; i < kSize; ++i) {
        if (places_.used == places_.avail + 0x104 && i >= 128) break;  // they overlap there
        (void)view.write(GuestAddress(places_.avail + SplitAvail::entry(i)),
                         Le16(heads_.empty() ? std::uint16_t{0} : heads_[i % heads_.size()]));
      }
    }
    host_ring = *view.slice(GuestAddress(places_.table), 16 * kSize);
    pristine.resize(16 * kSize);
    host_ring.copy_to(std::span(pristine));
    index = *view.slice(GuestAddress(places_.avail + SplitAvail::kIndex), 2);
    offer();
    QueueConfig config = *QueueConfig::create(kSize);
    config.set_features((options_.packed ? kFeaturePacked : 0) |
                        (options_.event_idx ? kFeatureEventIdx : 0));
    (void)config.set_descriptors(GuestAddress(places_.table));
    (void)config.set_driver(GuestAddress(places_.avail));
    (void)config.set_device(GuestAddress(places_.used));
    config.set_ready(true);
    return *config.activate(memory);
  }
  /// The driver offers all chains once more.
  void offer() {
    if (options_.packed) {
      host_ring.copy_from(std::span<const std::byte>(pristine).first(16 * std::size_t{next_}));
    } else {
      offered_ = static_cast<std::uint16_t>(offered_ + chains_);
      index.store(offered_);
    }
  }
  /// Everything as at the start: the queue at its first chain, and all chains offered.
  void again(Queue& queue) {
    (void)queue.rewind(Queue::start_position(options_.packed));
    offered_ = 0;
    offer();
  }

  GuestMemory memory;
  std::vector<std::byte> pristine;
  vm_memory::GuestSlice host_ring;
  vm_memory::GuestSlice index;

 private:
  void write(std::uint64_t at, std::uint64_t address, std::uint32_t length, std::uint16_t flags,
             std::uint16_t next, std::uint16_t id, bool in_ring) {
    const MemoryView view = memory.view();
    if (options_.packed) {
      if (in_ring) flags |= kDescAvail;
      (void)view.write(GuestAddress(at),
                       PackedDescriptor{Le64(address), Le32(length), Le16(id), Le16(flags)});
    } else {
      (void)view.write(GuestAddress(at),
                       SplitDescriptor{Le64(address), Le32(length), Le16(flags), Le16(next)});
    }
  }

  Places places_;
  Options options_;
  std::vector<std::uint16_t> heads_;
  std::uint16_t next_ = 0;
  std::uint16_t offered_ = 0;
  std::uint32_t chains_ = 0;
};

}  // namespace vmm::virtio_queue
