// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Aligned fields of objects and small copies must not be seen half written, wherever in the object
// and in guest memory they are. A writer alternates between two patterns, each of them the same
// in all bytes; a reader must find each aligned field in one of them.

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vm_memory {
namespace {

constexpr auto kTime = std::chrono::milliseconds(60);
constexpr std::uint64_t kBoundary = 0x1000;

template <std::size_t kSize>
struct Object {
  std::array<std::uint8_t, kSize> bytes;
};

/// Two regions that touch at kBoundary.
GuestMemory two_regions() {
  return *GuestMemory::create(std::array{
      RegionConfig{.base = GuestAddress(0), .bytes = kBoundary},
      RegionConfig{.base = GuestAddress(kBoundary), .bytes = kBoundary},
  });
}

/// The number of fields of kField bytes, aligned in the guest, that have bytes of both patterns.
template <std::size_t kField>
std::size_t torn_fields(std::span<const std::uint8_t> bytes, std::uint64_t address) {
  std::size_t torn = 0;
  for (std::size_t i = (kField - address % kField) % kField; i + kField <= bytes.size();
       i += kField) {
    for (std::size_t j = 1; j < kField; ++j) torn += bytes[i + j] != bytes[i] ? 1 : 0;
  }
  return torn;
}

template <class Write, class Read>
std::size_t race(std::uint64_t address, std::size_t size, Write&& write, Read&& read) {
  write(std::uint8_t{0x00});  // over what an earlier race left
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      write(std::uint8_t{0x00});
      write(std::uint8_t{0xff});
    }
  });
  std::size_t torn = 0;
  std::vector<std::uint8_t> bytes(size);
  const auto end = std::chrono::steady_clock::now() + kTime;
  while (std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 200; ++i) {
      read(std::span<std::uint8_t>(bytes));
      torn += torn_fields<2>(bytes, address);
      // Regions end at page boundaries, so no aligned field lies in two of them.
      torn += torn_fields<4>(bytes, address) + torn_fields<8>(bytes, address);
    }
  }
  stop.store(true);
  writer.join();
  return torn;
}

template <std::size_t kSize>
void race_objects(std::uint64_t address) {
  INFO("an object of " << kSize << " bytes at " << address);
  const GuestMemory owner = two_regions();
  const MemoryView memory = owner.view();
  const auto write = [&](std::uint8_t pattern) {
    Object<kSize> object;
    object.bytes.fill(pattern);
    (void)memory.write(GuestAddress(address), object);
  };
  const auto read = [&](std::span<std::uint8_t> out) {
    const auto object = memory.read<Object<kSize>>(GuestAddress(address));
    if (object) std::memcpy(out.data(), object->bytes.data(), kSize);
  };
  CHECK(race(address, kSize, write, read) == 0);
}

TEST_CASE("fields of objects are never torn", "[tearing]") {
  race_objects<2>(0x100);
  race_objects<8>(0x100);
  race_objects<12>(0x104);  // memcpy would load bytes 4 to 8 twice
  race_objects<14>(0x102);
  race_objects<96>(0x100);
  race_objects<300>(0x106);
}

TEST_CASE("fields of objects that straddle two regions are never torn", "[tearing]") {
  race_objects<3>(kBoundary - 2);
  race_objects<8>(kBoundary - 4);
  race_objects<16>(kBoundary - 6);
  race_objects<96>(kBoundary - 48);
  race_objects<400>(kBoundary - 300);
}

TEST_CASE("fields of small byte copies are never torn", "[tearing]") {
  const GuestMemory owner = two_regions();
  const MemoryView memory = owner.view();
  // Of 3 and 12 bytes memcpy writes and reads some twice.
  for (const std::size_t size :
       {std::size_t{3}, std::size_t{12}, std::size_t{61}, std::size_t{256}}) {
    for (const std::uint64_t address :
         {std::uint64_t{0x100}, std::uint64_t{0x103}, kBoundary - 10}) {
      INFO(size << " bytes at " << address);
      std::vector<std::uint8_t> pattern(size);
      const auto write = [&](std::uint8_t value) {
        std::fill(pattern.begin(), pattern.end(), value);
        (void)memory.write_bytes(GuestAddress(address),
                                 std::as_bytes(std::span<const std::uint8_t>(pattern)));
      };
      const auto read = [&](std::span<std::uint8_t> out) {
        (void)memory.read_bytes(GuestAddress(address), std::as_writable_bytes(out));
      };
      CHECK(race(address, size, write, read) == 0);
    }
  }
}

}  // namespace
}  // namespace vmm::vm_memory
