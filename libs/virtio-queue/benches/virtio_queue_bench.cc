// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench.h"
#include "ring_machine.h"
#include "vmm/base/mutex.h"

namespace vmm::virtio_queue {
namespace {

using vm_memory::RegionConfig;

struct Setting {
  const char* tail;
  std::vector<RegionConfig> regions;
  std::uint64_t base;
};

std::vector<Setting> settings() {
  std::vector<Setting> list;
  list.push_back({"", {{.base = GuestAddress(0), .bytes = kGiB}}, kMiB});
  list.push_back({"_2regions",
                  {{.base = GuestAddress(0), .bytes = 3 * kGiB},
                   {.base = GuestAddress(4 * kGiB), .bytes = 5 * kGiB}},
                  4 * kGiB + kMiB});
  Setting many{"_64regions", {}, 40 * 16 * kMiB + kMiB};
  for (std::uint64_t i = 0; i < 64; ++i) {
    many.regions.push_back({.base = GuestAddress(i * 16 * kMiB), .bytes = 16 * kMiB});
  }
  list.push_back(many);
  list.push_back(
      {"_bitmap", {{.base = GuestAddress(0), .bytes = kGiB, .dirty_tracking = true}}, kMiB});
  return list;
}

/// A chain of n descriptors, or n of one.
void fill(Machine& machine, std::size_t chains, std::size_t length, bool indirect,
          std::uint64_t buffer = 0x1000) {
  for (std::size_t i = 0; i < chains; ++i) {
    machine.chain(std::vector<Buffer>(length, {buffer, 0x1000, false}), indirect);
  }
}

/// Pops all chains; each descriptor is read, validated and resolved to host memory by that.
template <class ChainType>
void walk(Queue& queue, ChainType& chain) {
  while (queue.pop(chain) == Pop::kChain) keep(&chain);
}

void walks(bench::Bench& bench, const std::string& name, std::size_t ops, Machine&& machine) {
  Queue queue = machine.start();
  InlineChain<kSize> chain;
  bench.run_prepared(name, ops, [&] { machine.again(queue); }, [&] { walk(queue, chain); });
}

/// Gives back the buffers n - 1 to 0, which were taken before: what a pop notes is not counted.
template <std::uint32_t kCount, bool kPublish>
void add_used(bench::Bench& bench, const std::string& name, std::size_t ops, Machine& machine,
              Queue& queue) {
  const auto take = [&] {
    machine.again(queue);
    for (std::uint32_t i = 0; i < kCount; ++i) (void)queue.adopt(static_cast<std::uint16_t>(i));
  };
  bench.run_prepared(name, ops, take, [given = &queue] {
    Queue& back = *given;
    for (std::uint32_t i = kCount; i-- != 0;) {
      const auto head = static_cast<std::uint16_t>(i);
      (void)(kPublish ? back.complete(head, 0x1000) : back.add_used(head, 0x1000));
    }
  });
}

// The rows of rust-vmm's own bench, and Firecracker's shapes.
VMM_BENCH(bench) {
  const std::vector<RegionConfig> ram{{.base = GuestAddress(0), .bytes = 4 * kGiB}};
  const Places mock{0, 0x1000, 0x1104, 0x3000'0000};
  for (const bool indirect : {false, true}) {
    const std::string tail = indirect ? "indirect=true" : "indirect=false";
    Machine one(ram, mock);
    fill(one, 1, 128, indirect);
    walks(bench, "virtio-queue/single_chain_" + tail, 1, std::move(one));
    Machine many(ram, mock);
    fill(many, 128, 1, indirect);
    walks(bench, "virtio-queue/multiple_chains_" + tail, 1, std::move(many));
  }
  Machine used(ram, mock);
  Queue mock_queue = used.start();
  add_used<128, true>(bench, "virtio-queue/add_used", 1, used, mock_queue);
  const std::vector<RegionConfig> small{{.base = GuestAddress(0), .bytes = kGiB}};
  Machine one(small, apart(kMiB));
  fill(one, 1, 16, false);
  walks(bench, "virtio-queue/fc_next_descriptor_16", 1, std::move(one));
  Machine many(small, apart(kMiB));
  fill(many, 16, 1, false);
  walks(bench, "virtio-queue/fc_queue_pop_16", 1, std::move(many));
  // Firecracker's does not publish.
  Machine apart_used(small, apart(kMiB));
  Queue queue = apart_used.start();
  add_used<16, false>(bench, "virtio-queue/fc_queue_add_used_16", 1, apart_used, queue);
  add_used<256, false>(bench, "virtio-queue/fc_queue_add_used_256", 1, apart_used, queue);
}

VMM_BENCH(bench) {
  for (const Setting& setting : settings()) {
    for (const bool packed : {false, true}) {
      const std::string name = packed ? "virtio-queue/packed_x_" : "virtio-queue/x_";
      const std::string tail = setting.tail;
      const Places places = apart(setting.base);
      const std::uint64_t buffer = setting.base + 0x10000;
      Machine many(setting.regions, places, {.packed = packed});
      fill(many, 128, 1, false, buffer);
      walks(bench, name + "walk_128x1" + tail, 128, std::move(many));
      Machine one(setting.regions, places, {.packed = packed});
      fill(one, 1, 128, false, buffer);
      walks(bench, name + "walk_1x128" + tail, 128, std::move(one));
      Machine used(setting.regions, places, {.packed = packed});
      Queue queue = used.start();
      add_used<128, true>(bench, name + "add_used" + tail, 128, used, queue);
    }
  }
}

struct BlkHeader {
  Le32 type;
  Le32 reserved;
  Le64 sector;
};

constexpr int kRequests = 64;

Machine blk_machine(const Setting& setting, bool indirect, bool packed) {
  Machine machine(setting.regions, apart(setting.base), {.packed = packed, .event_idx = true});
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    machine.chain({{setting.base + 0x10000 + 16 * i, 16, false},
                   {setting.base + 0x40000 + 4096 * i, 4096, true},
                   {setting.base + 0x20000 + i, 1, true}},
                  indirect);
  }
  return machine;
}

/// One virtio-blk read: header in, payload out if there is one, status out, used, decision.
template <bool kPayload>
void serve_blk(Queue& queue, Chain& chain, std::span<const std::byte> payload) {
  if (queue.pop(chain) != Pop::kChain) return;
  const auto header = chain.reader().read_obj<BlkHeader>();
  keep(header->sector.get());
  Writer data = chain.writer();
  if constexpr (kPayload) {
    (void)data.write_exact(payload);
  } else {
    (void)data.skip(data.remaining() - 1);
  }
  (void)data.write_obj(std::uint8_t{0});
  (void)queue.complete(chain.head(), chain.writable_bytes());
  keep(queue.needs_notification());
}

/// What a C program would do for such a request, and no less: rings at checked host addresses,
/// bounds of each index, a budget, a sum of lengths, each buffer within the one region.
struct PlainRing {
  const unsigned char* table;
  const unsigned char* avail;
  unsigned char* used;
  unsigned char* ram;
  std::uint64_t ram_bytes;
  std::uint16_t next_avail;
  std::uint16_t next_used;
};

template <class T>
T plain_load(const unsigned char* at) {
  T value;
  __builtin_memcpy(&value, at, sizeof(T));
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

bool plain_blk(PlainRing& ring) {
  const auto index =
      __atomic_load_n(reinterpret_cast<const std::uint16_t*>(ring.avail + 2), __ATOMIC_ACQUIRE);
  if (index == ring.next_avail) return false;
  const auto head = plain_load<std::uint16_t>(ring.avail + 4 + 2 * (ring.next_avail % kSize));
  ++ring.next_avail;
  std::uint32_t at = head;
  std::uint32_t written = 0;
  std::uint64_t total = 0;
  for (int left = kSize; left != 0; --left) {
    if (at >= kSize) return false;
    const auto address = plain_load<std::uint64_t>(ring.table + 16 * at);
    const auto length = plain_load<std::uint32_t>(ring.table + 16 * at + 8);
    const auto flags = plain_load<std::uint16_t>(ring.table + 16 * at + 12);
    if (address > ring.ram_bytes || length > ring.ram_bytes - address) return false;
    total += length;
    if (total > 0xffffffff) return false;
    if ((flags & kDescWrite) == 0) {
      if (length < 16) return false;
      keep(plain_load<std::uint64_t>(ring.ram + address + 8));
    } else {
      written += length;
      if ((flags & kDescNext) == 0) ring.ram[address + length - 1] = 0;
    }
    if ((flags & kDescNext) == 0) break;
    at = plain_load<std::uint16_t>(ring.table + 16 * at + 14);
  }
  unsigned char* const element = ring.used + 4 + 8 * (ring.next_used % kSize);
  const std::uint64_t both = head | std::uint64_t{written} << 32;
  __builtin_memcpy(element, &both, 8);
  ++ring.next_used;
  __atomic_store_n(reinterpret_cast<std::uint16_t*>(ring.used + 2), ring.next_used,
                   __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return event_passed(plain_load<std::uint16_t>(ring.avail + 4 + 2 * kSize), ring.next_used,
                      static_cast<std::uint16_t>(ring.next_used - 1));
}

VMM_BENCH(bench) {
  const Setting plain = settings()[0];
  Machine machine = blk_machine(plain, false, false);
  const Queue queue = machine.start();
  keep(&queue);
  auto* const ram =
      reinterpret_cast<unsigned char*>(machine.memory.view().regions()[0].host.data());
  PlainRing ring{.table = ram + kMiB,
                 .avail = ram + kMiB + 0x1000,
                 .used = ram + kMiB + 0x2000,
                 .ram = ram,
                 .ram_bytes = kGiB,
                 .next_avail = 0,
                 .next_used = 0};
  bench.floor("virtio-queue/x_blk_req_nodata_direct", kRequests, [&] {
    machine.offer();  // one store
    for (int i = 0; i < kRequests; ++i) keep(plain_blk(ring));
  });
}

VMM_BENCH(bench) {
  const std::vector<std::byte> payload(4096, std::byte{0x5a});
  for (const Setting& setting : settings()) {
    for (const bool packed : {false, true}) {
      const std::string name = packed ? "virtio-queue/packed_x_" : "virtio-queue/x_";
      for (const bool indirect : {false, true}) {
        const std::string tail = (indirect ? "_indirect" : "_direct") + std::string(setting.tail);
        Machine machine = blk_machine(setting, indirect, packed);
        Queue queue = machine.start();
        InlineChain<16> chain;
        const auto again = [&] { machine.again(queue); };  // what the driver does is not counted
        bench.run_prepared(name + "blk_req_nodata" + tail, kRequests, again, [&] {
          for (int i = 0; i < kRequests; ++i) serve_blk<false>(queue, chain, payload);
        });
        const auto serve = [&] {
          for (int i = 0; i < kRequests; ++i) serve_blk<true>(queue, chain, payload);
        };
        bench.run_prepared(name + "blk_req_4K" + tail, kRequests, again, serve);
        if (indirect || packed || !std::string(setting.tail).empty()) continue;
        bench.run_prepared("virtio-queue/x_blk_req_4K_reader_writer", kRequests, again, serve);
      }
    }
  }
}

VMM_BENCH(bench) {
  const Setting plain = settings()[0];
  const std::vector<std::byte> packet(1526, std::byte{0x5a});
  Machine rx(plain.regions, apart(plain.base));
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    rx.chain({{plain.base + 0x40000 + 2048 * i, 2048, true}});
  }
  Queue rx_queue = rx.start();
  InlineChain<16> chain;
  bench.run("virtio-queue/x_net_rx_1526B", kRequests, [&] {
    rx.offer();  // one store
    for (int i = 0; i < kRequests && rx_queue.pop(chain) == Pop::kChain; ++i) {
      (void)chain.writer().write_exact(packet);
      (void)rx_queue.complete(chain.head(), 1526);
    }
  });
  Machine tx(plain.regions, apart(plain.base));
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    tx.chain({{plain.base + 0x10000 + 16 * i, 12, false},
              {plain.base + 0x40000 + 2048 * i, 1514, false}});
  }
  Queue tx_queue = tx.start();
  std::array<std::byte, 2048> local{};
  const auto send = [&] {
    tx.offer();
    for (int i = 0; i < kRequests && tx_queue.pop(chain) == Pop::kChain; ++i) {
      keep(chain.reader().read(local));
      (void)tx_queue.complete(chain.head(), 0);
    }
  };
  bench.run("virtio-queue/x_net_tx_1526B", kRequests, send);
  bench.run("virtio-queue/x_net_tx_1526B_reader", kRequests, send);
}

void small_rows(bench::Bench& bench, const std::string& name, bool packed) {
  const Setting plain = settings()[0];
  Machine with(plain.regions, apart(plain.base), {.packed = packed, .event_idx = true});
  Queue events = with.start();
  Machine without(plain.regions, apart(plain.base), {.packed = packed});
  Queue flags = without.start();
  InlineChain<16> chain;
  bench.run(name + "pop_empty", [&] { keep(events.pop(chain)); });
  bench.run(name + "needs_notification_event_idx", [&] { keep(events.needs_notification()); });
  bench.run(name + "enable_notification_event_idx", [&] { keep(events.enable_notifications()); });
  bench.run(name + "enable_notification_flags", [&] { keep(flags.enable_notifications()); });
  const auto disable = [](Queue& queue) {
    for (int i = 0; i < kRequests; ++i) {
      queue.disable_notifications();
      keep(&queue);
    }
  };
  bench.run(name + "disable_notification_event_idx", kRequests, [&] { disable(events); });
  bench.run(name + "disable_notification_flags", kRequests, [&] { disable(flags); });
  bench.run(name + "state", [&] { keep(events.position()); });
  if (packed) return;
  bench.run(name + "avail_idx", [&] { keep(events.avail_index()); });
  QueueConfig config = *QueueConfig::create(kSize);
  (void)config.set_descriptors(GuestAddress(kMiB));
  (void)config.set_driver(GuestAddress(kMiB + 0x1000));
  (void)config.set_device(GuestAddress(kMiB + 0x2000));
  config.set_ready(true);
  bench.run(name + "is_valid", [&] { keep(config.validate(with.memory.view())); });
}

VMM_BENCH(bench) {
  small_rows(bench, "virtio-queue/x_", false);
  small_rows(bench, "virtio-queue/packed_x_", true);
  const Setting plain = settings()[0];
  for (const bool packed : {false, true}) {
    const std::string name = packed ? "virtio-queue/packed_x_" : "virtio-queue/x_";
    Machine machine(plain.regions, apart(plain.base), {.packed = packed});
    fill(machine, 128, 1, false);
    Queue queue = machine.start();
    InlineChain<16> chain;
    Mutex mutex;
    const auto again = [&] { machine.again(queue); };
    bench.run_prepared(name + "queue_pop_add_used", 128, again, [&] {
      while (queue.pop(chain) == Pop::kChain) {
        (void)queue.complete(chain.head(), 0x1000);
      }
    });
    bench.run_prepared(name + "queue_sync_pop_add_used", 128, again, [&] {
      for (;;) {
        {
          const MutexLock lock(mutex);
          if (queue.pop(chain) != Pop::kChain) break;
        }
        const MutexLock lock(mutex);
        (void)queue.complete(chain.head(), 0x1000);
      }
    });
  }
}

}  // namespace
}  // namespace vmm::virtio_queue
