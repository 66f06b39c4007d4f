// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/discard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <vector>

#include "vmm/sys_util/page_size.h"
#include "vmm/sys_util/temp_file.h"

using namespace vmm;
using namespace vmm::vm_memory;

namespace {

const std::uint64_t kPage = sys_util::page_size();

std::shared_ptr<const Region> make(RegionConfig config) {
  config.bytes = 8 * kPage;
  auto region = Region::create(config);
  REQUIRE(region);
  for (std::byte& byte : (*region)->host()) byte = std::byte{0x5a};
  return *region;
}

std::size_t resident(const Region& region) {
  std::vector<unsigned char> pages(region.bytes() / kPage);
  REQUIRE(::mincore(region.host().data(), region.bytes(), pages.data()) == 0);
  std::size_t count = 0;
  for (const unsigned char page : pages) count += page & 1;
  return count;
}

}  // namespace

TEST_CASE("discarded pages leave the host's memory and read as zeros", "[discard]") {
  const Backing backing = GENERATE(Backing::kAnonymous, Backing::kMemfd);
  const auto region = make({.base = GuestAddress(0x100000),
                            .backing = backing,
                            .transparent_huge_pages = ThpAdvice::kNever,
                            .dirty_tracking = true});
  region->dirty()->clear_all();
  REQUIRE(resident(*region) == 8);
  REQUIRE(discard(*region, {2 * kPage, 3 * kPage}));
  CHECK(resident(*region) == 5);
  for (std::size_t page = 0; page < 8; ++page) {
    const bool gone = page >= 2 && page < 5;
    CAPTURE(page);
    CHECK(region->dirty()->is_dirty(page * kPage) == gone);
    CHECK(region->host()[page * kPage] == (gone ? std::byte{0} : std::byte{0x5a}));
    CHECK(region->host()[(page + 1) * kPage - 1] == (gone ? std::byte{0} : std::byte{0x5a}));
  }
  region->host()[2 * kPage] = std::byte{1};  // the guest goes on
  CHECK(region->host()[2 * kPage] == std::byte{1});
}

TEST_CASE("a discard of a shared region is seen by every process that maps it", "[discard]") {
  const auto region = make({.base = GuestAddress(0), .backing = Backing::kMemfd});
  const auto other = sys_util::Mapping::create(
      region->bytes(),
      {.protection = PROT_READ, .flags = MAP_SHARED, .fd = region->file()->fd, .offset = 0});
  REQUIRE(other);
  REQUIRE(discard(*region, {0, kPage}));
  CHECK(other->bytes()[0] == std::byte{0});
  CHECK(other->bytes()[kPage] == std::byte{0x5a});
}

TEST_CASE("a discard of nothing is none", "[discard]") {
  const auto region = make({.base = GuestAddress(0),
                            .backing = GENERATE(Backing::kAnonymous, Backing::kMemfd),
                            .dirty_tracking = true});
  CHECK(discard(*region, {kPage, 0}));
  CHECK(discard(*region, {8 * kPage, 0}));
  CHECK(region->dirty()->get_and_reset() == std::vector<std::uint64_t>{0});
}

TEST_CASE("what is no whole page of the region is refused", "[discard][hostile]") {
  const auto region = make({});
  struct Row {
    const char* name;
    RegionPart part;
  };
  const auto row = GENERATE_COPY(values<Row>({{"odd offset", {kPage / 2, kPage}},
                                              {"odd size", {0, kPage / 2}},
                                              {"beyond the end", {4 * kPage, 5 * kPage}},
                                              {"far beyond", {1000 * kPage, kPage}},
                                              {"wraps", {kPage, ~std::uint64_t{0} - kPage + 1}}}));
  CAPTURE(row.name);
  const auto discarded = discard(*region, row.part);
  REQUIRE_FALSE(discarded);
  CHECK(discarded.error().is_os(EINVAL));
  CHECK(resident(*region) == 8);
}

TEST_CASE("nothing is discarded of files and of memory that others own", "[discard]") {
  const auto file = *sys_util::TempFile::create();
  REQUIRE(::ftruncate(file.fd(), static_cast<off_t>(8 * kPage)) == 0);
  const bool shared = GENERATE(true, false);
  const auto region =
      make({.base = GuestAddress(0), .backing = Backing::kFile, .fd = file.fd(), .shared = shared});
  const auto discarded = discard(*region, {0, kPage});
  REQUIRE_FALSE(discarded);
  CHECK(discarded.error().is_os(EOPNOTSUPP));
  CHECK(region->host()[0] == std::byte{0x5a});
}

TEST_CASE("huge pages are discarded as a whole", "[discard]") {
  constexpr std::uint64_t kHuge = std::uint64_t{2} << 20;
  const auto region = Region::create({.base = GuestAddress(0),
                                      .bytes = 2 * kHuge,
                                      .backing = GENERATE(Backing::kAnonymous, Backing::kMemfd),
                                      .huge_pages = HugePages::k2MiB});
  if (!region) return;  // this host has none
  CHECK(discard_granule(**region) == kHuge);
  CHECK_FALSE(discard(**region, {0, kPage}));
  (*region)->host()[0] = (*region)->host()[kHuge] = std::byte{1};
  REQUIRE(discard(**region, {0, kHuge}));
  CHECK((*region)->host()[0] == std::byte{0});
  CHECK((*region)->host()[kHuge] == std::byte{1});
}

TEST_CASE("who holds a region that was cut off reaches the file no more", "[discard][hostile]") {
  const auto file = sys_util::TempFile::create();
  REQUIRE(file);
  REQUIRE(::ftruncate(file->fd(), static_cast<off_t>(8 * kPage)) == 0);
  const auto region =
      make({.base = GuestAddress(0), .backing = Backing::kFile, .fd = file->fd(), .shared = true});
  REQUIRE(cut_off(*region));
  for (const std::uint64_t at : {std::uint64_t{0}, 8 * kPage - 1}) {
    CHECK(region->host()[at] == std::byte{0});
    region->host()[at] = std::byte{1};
    CHECK(region->host()[at] == std::byte{1});
    std::byte kept{};
    REQUIRE(::pread(file->fd(), &kept, 1, static_cast<off_t>(at)) == 1);
    CHECK(kept == std::byte{0x5a});
  }
}

TEST_CASE("only a file is cut off", "[discard]") {
  for (const Backing backing : {Backing::kAnonymous, Backing::kMemfd}) {
    const auto region = make({.base = GuestAddress(0), .backing = backing});
    CHECK(cut_off(*region).error().is_os(EOPNOTSUPP));
    CHECK(region->host()[0] == std::byte{0x5a});
  }
}
