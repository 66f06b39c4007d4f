// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "bench.h"
#include "vmm/vm_memory/guest_io.h"
#include "vmm/vm_memory/guest_memory.h"
#include "vmm/vm_memory/snapshot_reader.h"

namespace vmm::vm_memory {
namespace {

using bench::keep;
using bench::opaque;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;
constexpr std::size_t kSmall = 8;
constexpr std::size_t kBuffer = 512;

struct BigObject {
  std::array<std::uint64_t, 12> words;
};
static_assert(sizeof(BigObject) == 96);

GuestMemory make(std::size_t regions, std::uint64_t bytes, bool dirty = false) {
  std::vector<RegionConfig> configs;
  for (std::size_t i = 0; i < regions; ++i) {
    configs.push_back({.base = GuestAddress(i * bytes), .bytes = bytes, .dirty_tracking = dirty});
  }
  return *GuestMemory::create(configs);
}

std::string row(const char* name, std::uint64_t address) {
  std::array<char, 80> text{};
  std::snprintf(text.data(), text.size(), "vm-memory/%s_0x%" PRIX64, name, address);
  return text.data();
}

GuestAddress hidden(std::uint64_t address) { return GuestAddress(opaque(address)); }

/// Copies of 512 bytes at one place of eight regions of 2 GiB, in and out.
void copies_at(bench::Bench& bench, MemoryView memory, std::uint64_t address) {
  std::vector<std::byte> image(kBuffer, std::byte{0x5a});
  const auto in = [&] { return std::span<const std::byte>(image.data(), opaque(kBuffer)); };
  const auto out = [&] { return std::span<std::byte>(image.data(), opaque(kBuffer)); };
  bench.run(row("read_from", address), [&] { keep(memory.write_some(hidden(address), in())); });
  bench.run(row("read_exact_from", address),
            [&] { keep(memory.write_bytes(hidden(address), in())); });
  bench.run(row("read_entire_slice_from", address),
            [&] { keep(memory.read_bytes(hidden(address), out())); });
  bench.run(row("read_slice_from", address),
            [&] { keep(memory.read_some(hidden(address), out())); });
  bench.run(row("write_to", address), [&] { keep(memory.read_some(hidden(address), out())); });
  bench.run(row("write_exact_to", address),
            [&] { keep(memory.read_bytes(hidden(address), out())); });
  bench.run(row("write_entire_slice_to", address),
            [&] { keep(memory.write_bytes(hidden(address), in())); });
  bench.run(row("write_slice_to", address),
            [&] { keep(memory.write_some(hidden(address), in())); });
  const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  bench.run(row("read_from_file", address),
            [&] { keep(*read_some_from(zero.get(), memory, hidden(address), opaque(kBuffer))); });
  bench.run(row("write_to_file", address),
            [&] { keep(*write_some_to(null.get(), memory, hidden(address), opaque(kBuffer))); });
}

void objects_at(bench::Bench& bench, MemoryView memory, std::uint64_t small, std::uint64_t big) {
  BigObject object{};
  bench.run(row("read_small_obj_from", small),
            [&] { keep(memory.read<std::uint64_t>(hidden(small))); });
  bench.run(row("read_big_obj_from", big), [&] { keep(memory.read<BigObject>(hidden(big))); });
  bench.run(row("write_small_obj_to", small),
            [&] { keep(memory.write(hidden(small), std::uint64_t{42})); });
  bench.run(row("write_big_obj_to", big), [&] {
    keep(object);
    keep(memory.write(hidden(big), object));
  });
}

VMM_BENCH(bench) {
  const GuestMemory owner = make(8, 2 * kGiB);
  const MemoryView memory = owner.view();
  const auto crossing = [](std::uint64_t boundary, std::size_t size) {
    return boundary - size / 2;
  };
  copies_at(bench, memory, 0);
  objects_at(bench, memory, 0, 0);
  for (const std::uint64_t boundary : {2 * kGiB, 14 * kGiB}) {
    copies_at(bench, memory, crossing(boundary, kBuffer));
    objects_at(bench, memory, crossing(boundary, kSmall), crossing(boundary, sizeof(BigObject)));
  }
  copies_at(bench, memory, 14 * kGiB);
  objects_at(bench, memory, 14 * kGiB, 14 * kGiB);
}

/// Addresses of random regions of 1 MiB; the generator is xorshift64*.
std::vector<std::uint64_t> random_addresses(std::size_t regions) {
  std::vector<std::uint64_t> table(4096);
  std::uint64_t state = 0x9E3779B97F4A7C15;
  for (std::uint64_t& address : table) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    address = (state * 0x2545F4914F6CDD1D) % regions * kMiB;
  }
  return table;
}

/// What a C program would do: an array of {base, size, host} and a binary search.
struct PlainRegion {
  std::uint64_t base;
  std::uint64_t size;
  unsigned char* host;
};

const PlainRegion* plain_find(const PlainRegion* regions, std::size_t count,
                              std::uint64_t address) {
  std::size_t low = 0;
  std::size_t high = count;
  while (high - low > 1) {
    const std::size_t middle = (low + high) / 2;
    if (regions[middle].base <= address) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return address - regions[low].base < regions[low].size ? &regions[low] : nullptr;
}

bool plain_read(const PlainRegion* regions, std::size_t count, std::uint64_t address,
                std::uint64_t* out) {
  const PlainRegion* const region = plain_find(regions, count, address);
  if (region == nullptr || region->size - (address - region->base) < 8) return false;
  std::memcpy(out, region->host + (address - region->base), 8);
  return true;
}

bool plain_write(const PlainRegion* regions, std::size_t count, std::uint64_t address,
                 std::uint64_t value) {
  const PlainRegion* const region = plain_find(regions, count, address);
  if (region == nullptr || region->size - (address - region->base) < 8) return false;
  std::memcpy(region->host + (address - region->base), &value, 8);
  return true;
}

void random_objects(bench::Bench& bench, std::size_t regions) {
  const GuestMemory owner = make(regions, kMiB);
  const MemoryView memory = owner.view();
  std::vector<PlainRegion> plain;
  for (const RegionSpan& region : memory.regions()) {
    plain.push_back({region.base.raw(), region.host.size(),
                     reinterpret_cast<unsigned char*>(region.host.data())});
    // Pages of their own, not all the zero page.
    (void)memory.write(region.base, std::uint64_t{1});
  }
  const std::vector<std::uint64_t> table = random_addresses(regions);
  const std::string tail = "_u64_rand_" + std::to_string(regions) + "regions";
  std::size_t i = 0;
  const auto next = [&] { return table[i++ & 4095]; };
  bench.run("vm-memory/x_read_obj" + tail,
            [&] { keep(memory.read<std::uint64_t>(GuestAddress(next()))); });
  bench.floor("vm-memory/x_read_obj" + tail, [&] {
    std::uint64_t value = 0;
    keep(plain_read(plain.data(), plain.size(), next(), &value));
    keep(value);
  });
  bench.run("vm-memory/x_write_obj" + tail,
            [&] { keep(memory.write(GuestAddress(next()), std::uint64_t{7})); });
  bench.floor("vm-memory/x_write_obj" + tail,
              [&] { keep(plain_write(plain.data(), plain.size(), next(), 7)); });
}

VMM_BENCH(bench) {
  for (const std::size_t regions : {1u, 8u, 64u, 256u}) random_objects(bench, regions);

  const GuestMemory owner = make(256, kMiB);
  const MemoryView memory = owner.view();
  std::vector<PlainRegion> plain;
  for (const RegionSpan& region : memory.regions()) {
    plain.push_back({region.base.raw(), region.host.size(), nullptr});
  }
  bench.run("vm-memory/find_region", 256, [&] {
    for (std::uint64_t i = 0; i < 256; ++i) keep(memory.find_region(hidden(i * kMiB)));
  });
  bench.floor("vm-memory/find_region", 256, [&] {
    for (std::uint64_t i = 0; i < 256; ++i) {
      keep(plain_find(plain.data(), plain.size(), opaque(i * kMiB)));
    }
  });
}

VMM_BENCH(bench) {
  std::vector<std::byte> ram(1024);
  const GuestSlice slice{std::span<std::byte>(ram)};
  std::vector<std::byte> byte_buffer(1024);
  std::vector<std::uint16_t> word_buffer(512);
  const std::span<std::byte> bytes(byte_buffer);
  const std::span<std::uint16_t> words(word_buffer);
  const std::span<const std::uint16_t> const_words(words);
  bench.run("vm-memory/VolatileSlice::copy_to_u8", [=] { keep(slice.copy_to(bytes)); });
  bench.run("vm-memory/VolatileSlice::copy_to_u16", [=] { keep(slice.copy_to(words)); });
  bench.run("vm-memory/VolatileSlice::copy_from_u8", [=] { keep(slice.copy_from(bytes)); });
  bench.run("vm-memory/VolatileSlice::copy_from_u16", [=] { keep(slice.copy_from(const_words)); });
  std::vector<std::byte> big(32768);
  const GuestSlice source(std::span<std::byte>(big).first(10240));
  const GuestSlice target(std::span<std::byte>(big).subspan(18432, 10240));
  bench.run("vm-memory/VolatileSlice::copy_to_volatile_slice",
            [=] { keep(source.copy_to(target)); });
}

constexpr std::uint64_t kAt = 0x1000;

struct Size {
  const char* name;
  std::size_t bytes;
};
constexpr std::array kSizes{Size{"64", 64},     Size{"512", 512},    Size{"4K", 4096},
                            Size{"64K", 65536}, Size{"1M", 1 << 20}, Size{"64M", 64 << 20}};

VMM_BENCH(bench) {
  const GuestMemory owner = make(1, kGiB);
  const MemoryView memory = owner.view();
  (void)memory.fill(GuestAddress(0), 128 * kMiB, std::byte{1});
  bench.run("vm-memory/x_read_obj_u8", [&] { keep(memory.read<std::uint8_t>(hidden(kAt))); });
  bench.run("vm-memory/x_read_obj_u16", [&] { keep(memory.read<std::uint16_t>(hidden(kAt))); });
  bench.run("vm-memory/x_read_obj_u32", [&] { keep(memory.read<std::uint32_t>(hidden(kAt))); });
  bench.run("vm-memory/x_read_obj_u64", [&] { keep(memory.read<std::uint64_t>(hidden(kAt))); });
  bench.run("vm-memory/x_write_obj_u64",
            [&] { keep(memory.write(hidden(kAt), std::uint64_t{7})); });
  bench.run("vm-memory/x_load_u16_acquire",
            [&] { keep(memory.load<std::uint16_t, std::memory_order_acquire>(hidden(kAt))); });
  bench.run("vm-memory/x_store_u16_release",
            [&] { keep(memory.store<std::uint16_t, std::memory_order_release>(hidden(kAt), 7)); });
  bench.run("vm-memory/x_get_host_address", [&] {
    const auto slice = memory.slice(hidden(kAt), 1);
    keep(slice ? slice->unsafe_iovec().base : nullptr);
  });
  bench.run("vm-memory/x_get_slice_4096",
            [&] { keep(memory.slice(hidden(kAt), opaque(std::uint64_t{4096}))); });
  bench.run("vm-memory/x_check_range_4096",
            [&] { keep(memory.check_range(hidden(kAt), opaque(std::uint64_t{4096}))); });
  for (const Size& size : kSizes) {
    std::vector<std::byte> buffer(size.bytes, std::byte{2});
    const std::string tail = std::string("_slice_") + size.name;
    bench.run("vm-memory/x_write" + tail, [&] {
      keep(memory.write_bytes(hidden(kAt), std::span(buffer.data(), opaque(size.bytes))));
    });
    bench.floor("vm-memory/x_write" + tail, [&] {
      std::memcpy(opaque(memory.regions()[0].host.data()) + kAt, buffer.data(), opaque(size.bytes));
    });
    bench.run("vm-memory/x_read" + tail, [&] {
      keep(memory.read_bytes(hidden(kAt), std::span(buffer.data(), opaque(size.bytes))));
    });
    bench.floor("vm-memory/x_read" + tail, [&] {
      std::memcpy(buffer.data(), opaque(memory.regions()[0].host.data()) + kAt, opaque(size.bytes));
    });
  }
}

VMM_BENCH(bench) {
  const GuestMemory owner = make(1, kGiB, true);
  const MemoryView memory = owner.view();
  (void)memory.fill(GuestAddress(0), 2 * kMiB, std::byte{1});
  bench.run("vm-memory/x_bitmap_write_obj_u64",
            [&] { keep(memory.write(hidden(kAt), std::uint64_t{7})); });
  bench.run("vm-memory/x_bitmap_read_obj_u64",
            [&] { keep(memory.read<std::uint64_t>(hidden(kAt))); });
  bench.run("vm-memory/x_bitmap_store_u16_release",
            [&] { keep(memory.store<std::uint16_t, std::memory_order_release>(hidden(kAt), 7)); });
  for (const Size& size : kSizes) {
    if (size.bytes < 512 || size.bytes > kMiB) continue;
    std::vector<std::byte> buffer(size.bytes, std::byte{2});
    bench.run(std::string("vm-memory/x_bitmap_write_slice_") + size.name, [&] {
      keep(memory.write_bytes(hidden(kAt), std::span(buffer.data(), opaque(size.bytes))));
    });
  }
  DirtyBitmap& bitmap = *memory.regions()[0].dirty;
  bench.run("vm-memory/x_bitmap_mark_dirty_1page",
            [&] { bitmap.mark(opaque(kAt), opaque(std::uint64_t{1})); });
  std::atomic<std::uint64_t> word{1};
  bench.floor("vm-memory/x_bitmap_mark_dirty_1page",
              [&] { word.fetch_or(opaque(std::uint64_t{1})); });
  bench.run("vm-memory/x_bitmap_mark_dirty_1MiB", [&] { bitmap.mark(opaque(kAt), opaque(kMiB)); });
  DirtyBitmap clear(4 * kGiB);
  bench.run("vm-memory/x_bitmap_get_and_reset_4GiB", [&] { keep(clear.get_and_reset()); });
  bench.run("vm-memory/bitmap_first_mark_1page", [&] {
    bitmap.clear(opaque(kAt), 1);
    bitmap.mark(opaque(kAt), opaque(std::uint64_t{1}));
  });
}

VMM_BENCH(bench) {
  const GuestMemory owner = make(1, kGiB);
  bench.run("vm-memory/x_atomic_memory", [&] { keep(owner.snapshot().get()); });
  bench.run("vm-memory/x_atomic_memory_read_obj_u64",
            [&] { keep(owner.snapshot()->view().read<std::uint64_t>(hidden(kAt))); });
  SnapshotReader reader(owner);
  bench.run("vm-memory/snapshot_reader", [&] { keep(&reader.current()); });
  bench.run("vm-memory/snapshot_reader_read_obj_u64",
            [&] { keep(reader.current().view().read<std::uint64_t>(hidden(kAt))); });
}

}  // namespace
}  // namespace vmm::vm_memory
