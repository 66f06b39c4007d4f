// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/dirty_log.h"

#include <catch2/catch.hpp>
#include <vector>

#include "vmm/vm_memory/guest_memory.h"

using namespace vmm;
using namespace vmm::vhost;
using vm_memory::GuestMemory;
using vm_memory::RegionConfig;

namespace {

constexpr std::uint64_t kPage = DirtyLog::kPageBytes;

// Two regions whose marks share a word of the log, and one far above.
GuestMemory tracked_memory() {
  const std::vector<RegionConfig> configs{
      {.base = GuestAddress(0x1000), .bytes = 0x8000, .dirty_tracking = true},
      {.base = GuestAddress(0x1'0000), .bytes = 0x10'0000, .dirty_tracking = true},
      {.base = GuestAddress(std::uint64_t{1} << 40), .bytes = 0x4000, .dirty_tracking = true}};
  return *GuestMemory::create(configs);
}

// As the kernel marks a page.
void mark(const DirtyLog& log, std::uint64_t address) {
  log.data()[address / kPage / 8] |= std::byte{1} << address / kPage % 8;
}

std::vector<std::uint64_t> dirty_pages(const GuestMemory& memory) {
  std::vector<std::uint64_t> pages;
  const auto snapshot = memory.snapshot();
  for (const auto& region : snapshot->regions()) {
    for (std::uint64_t at = 0; at < region->bytes(); at += kPage) {
      if (region->dirty()->is_dirty(at)) pages.push_back(region->base().raw() + at);
    }
  }
  return pages;
}

}  // namespace

TEST_CASE("marks of the device reach the dirty bitmaps, once", "[log]") {
  const GuestMemory memory = tracked_memory();
  const auto log = DirtyLog::create(memory.view());
  REQUIRE(log);
  const std::vector<std::uint64_t> pages{0x1000,
                                         0x8000,
                                         0x1'0000,
                                         0x4'0000,
                                         0x10'f000,
                                         std::uint64_t{1} << 40,
                                         (std::uint64_t{1} << 40) + 0x3000};
  for (const std::uint64_t page : pages) mark(*log, page + 17);
  CHECK(log->collect(memory.view()) == pages.size());
  CHECK(dirty_pages(memory) == pages);
  for (const auto& region : memory.snapshot()->regions()) region->dirty()->clear_all();
  CHECK(log->collect(memory.view()) == 0);
  CHECK(dirty_pages(memory).empty());
}

TEST_CASE("marks outside of memory are dropped", "[log]") {
  const GuestMemory memory = tracked_memory();
  const auto log = DirtyLog::create(memory.view());
  REQUIRE(log);
  mark(*log, 0);
  mark(*log, 0x9000);
  CHECK(log->collect(memory.view()) == 0);
  CHECK(dirty_pages(memory).empty());
}

TEST_CASE("a log covers memory to its last page", "[log]") {
  const GuestMemory memory = tracked_memory();
  const auto log = DirtyLog::create(memory.view());
  REQUIRE(log);
  const std::uint64_t last = memory.view().last_address().raw() / kPage;
  CHECK(log->bytes() > last / 8);
  CHECK(log->bytes() <= last / 8 + 8);
  CHECK_FALSE(DirtyLog::create(vm_memory::MemoryView()));
}

TEST_CASE("a log that is shorter than memory is not read beyond its end", "[log][hostile]") {
  GuestMemory memory = tracked_memory();
  const auto log = DirtyLog::create(memory.view());
  REQUIRE(log);
  REQUIRE(memory.plug({.base = GuestAddress(std::uint64_t{1} << 41), .bytes = 0x1000}));
  mark(*log, 0x1000);
  CHECK(log->collect(memory.view()) == 1);
}
