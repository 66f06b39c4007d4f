// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/memory_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdio>

#include "mapping_count.h"
#include "raw_peer.h"
#include "vmm/base/endian.h"
#include "vmm/vhost_user/dirty_log.h"
#include "vmm/vhost_user/inflight_memory.h"
#include "vmm/vm_memory/guest_access.h"

namespace vmm::vhost_user {
namespace {

using request::RegionFile;

constexpr std::uint64_t kPage = 4096;

UniqueFd memfd(std::uint64_t pages) {
  return std::move(*sys_util::MemFd::create(pages * kPage)).release();
}

/// Numbers are pages.
struct Shape {
  std::uint64_t guest, count, user, offset;
};

RegionFile file_of(const Shape& shape, const UniqueFd& fd) {
  return {.region = {.guest_address = shape.guest * kPage,
                     .bytes = shape.count * kPage,
                     .user_address = shape.user * kPage,
                     .mmap_offset = shape.offset * kPage},
          .fd = UniqueFd(::dup(fd.get()))};
}

std::vector<RegionFile> files_of(std::initializer_list<Shape> shapes, const UniqueFd& fd) {
  std::vector<RegionFile> files;
  for (const Shape& shape : shapes) files.push_back(file_of(shape, fd));
  return files;
}

TEST_CASE("regions come in any order, and are what the front end has", "[memory]") {
  const UniqueFd fd = memfd(16);
  const std::uint64_t word = 0x1122'3344'5566'7788;
  REQUIRE(::pwrite(fd.get(), &word, 8, 9 * kPage + 8) == 8);
  MemoryTable table;
  CHECK(table.memory().view().read<Le64>(GuestAddress(0)).error() ==
        vm_memory::MemoryError::kUnmapped);
  REQUIRE(table.set(files_of({{100, 4, 1000, 8}, {0, 8, 2000, 0}, {50, 1, 500, 15}}, fd)));
  CHECK(table.size() == 3);
  CHECK(table.memory().view().read<Le64>(GuestAddress(101 * kPage + 8))->get() == word);
  REQUIRE(table.memory().view().write(GuestAddress(7 * kPage), Le64(word)));
  std::uint64_t back = 0;
  REQUIRE(::pread(fd.get(), &back, 8, 7 * kPage) == 8);
  CHECK(back == word);
}

TEST_CASE("addresses of the front end become guest addresses", "[memory]") {
  const UniqueFd fd = memfd(16);
  MemoryTable table;
  REQUIRE(table.set(files_of({{100, 4, 1000, 8}, {0, 8, 2000, 0}}, fd)));
  CHECK(table.to_guest(1000 * kPage, 4 * kPage)->raw() == 100 * kPage);
  CHECK(table.to_guest(2003 * kPage + 5, 1)->raw() == 3 * kPage + 5);
  CHECK_FALSE(table.to_guest(1000 * kPage, 4 * kPage + 1));
  CHECK_FALSE(table.to_guest(1004 * kPage, 0));
  CHECK_FALSE(table.to_guest(999 * kPage, 1));
  CHECK_FALSE(table.to_guest(~std::uint64_t{0}, 1));
  CHECK_FALSE(table.to_guest(1000 * kPage, ~std::uint64_t{0}));
}

TEST_CASE("regions that cannot be are refused, and nothing changes", "[memory][hostile]") {
  const UniqueFd fd = memfd(16);
  struct Case {
    const char* what;
    std::vector<Shape> shapes;
    MessageError error;
  };
  const Case cases[] = {
      {"the same twice", {{0, 1, 0, 0}, {0, 1, 5, 1}}, MessageError::kOverlap},
      {"guest addresses overlap", {{0, 2, 0, 0}, {1, 1, 5, 1}}, MessageError::kOverlap},
      {"one inside another", {{0, 8, 0, 0}, {2, 1, 50, 1}}, MessageError::kOverlap},
      {"user addresses overlap", {{0, 2, 10, 0}, {5, 2, 11, 1}}, MessageError::kOverlap},
      {"beyond the file", {{0, 17, 0, 0}}, MessageError::kBadRange},
      {"an offset beyond the file", {{0, 1, 0, 16}}, MessageError::kBadRange},
      {"an offset near 2^63", {{0, 1, 0, std::uint64_t{1} << 51}}, MessageError::kBadRange},
  };
  MemoryTable table;
  REQUIRE(table.set(files_of({{0, 1, 0, 0}}, fd)));
  for (const Case& one : cases) {
    CAPTURE(one.what);
    const std::size_t before = open_fds();
    {
      std::vector<RegionFile> files;
      for (const Shape& shape : one.shapes) files.push_back(file_of(shape, fd));
      const auto set = table.set(files);
      REQUIRE_FALSE(set);
      CHECK(is(set.error(), one.error));
    }
    CHECK(open_fds() == before);
    CHECK(table.size() == 1);
    CHECK(table.memory().view().read<Le64>(GuestAddress(0)));
  }
}

TEST_CASE("odd addresses and files that are none are refused", "[memory][hostile]") {
  const UniqueFd fd = memfd(4);
  for (const MemoryRegion& region : {MemoryRegion{1, kPage, 0, 0}, MemoryRegion{0, kPage + 1, 0, 0},
                                     MemoryRegion{0, kPage, 0, 1}}) {
    MemoryTable table;
    std::vector<RegionFile> files;
    files.push_back({.region = region, .fd = UniqueFd(::dup(fd.get()))});
    CHECK(is(table.set(files).error(), MessageError::kBadRange));
  }
  const auto [socket, other] = socket_pair();
  const UniqueFd zero(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  MemoryTable table;
  CHECK(is(table.set(files_of({{0, 1, 0, 0}}, socket)).error(), MessageError::kBadRange));
  CHECK(is(table.set(files_of({{0, 1, 0, 0}}, zero)).error(), MessageError::kBadRange));
}

TEST_CASE("regions come and go one by one", "[memory]") {
  const UniqueFd fd = memfd(16);
  MemoryTable table;
  REQUIRE(table.add(file_of({100, 4, 1000, 8}, fd)));
  REQUIRE(table.add(file_of({0, 8, 2000, 0}, fd)));
  CHECK(is(table.add(file_of({3, 1, 1, 0}, fd)).error(), MessageError::kOverlap));
  const auto held = table.memory().snapshot();
  MemoryRegion gone = file_of({100, 4, 1000, 8}, fd).region;
  gone.user_address += kPage;
  CHECK(is(table.remove(gone).error(), MessageError::kNotFound));
  gone.user_address -= kPage;
  gone.mmap_offset = 1;  // does not matter
  REQUIRE(table.remove(gone));
  CHECK(is(table.remove(gone).error(), MessageError::kNotFound));
  CHECK_FALSE(table.memory().view().read<Le64>(GuestAddress(100 * kPage)));
  CHECK(held->view().read<Le64>(GuestAddress(100 * kPage)));  // stays mapped for who holds it
  table.clear();
  CHECK(table.size() == 0);
}

TEST_CASE("there are 509 slots", "[memory]") {
  const UniqueFd fd = memfd(1);
  MemoryTable table;
  for (std::uint64_t i = 0; i < kMaxMemSlots; ++i) {
    REQUIRE(table.add(file_of({i, 1, i, 0}, fd)));
  }
  CHECK(is(table.add(file_of({1000, 1, 1000, 0}, fd)).error(), MessageError::kTooMany));
  CHECK(table.size() == kMaxMemSlots);
}

TEST_CASE("there are 509 slots for a whole table, too", "[memory]") {
  const UniqueFd fd = memfd(1);
  std::vector<RegionFile> files;
  for (std::uint64_t i = 0; i < kMaxMemSlots; ++i) files.push_back(file_of({i, 1, i, 0}, fd));
  MemoryTable table;
  CHECK(table.set(files));
  files.push_back(file_of({1000, 1, 1000, 0}, fd));
  CHECK(is(table.set(files).error(), MessageError::kTooMany));
}

TEST_CASE("a region's host memory is found by all that it is", "[memory]") {
  const UniqueFd fd = memfd(4);
  MemoryTable table;
  const RegionFile file = file_of({5, 2, 9, 1}, fd);
  REQUIRE(table.add(file_of({0, 1, 0, 0}, fd)));
  REQUIRE(table.add(file));
  CHECK(table.host_of(file.region).data() ==
        table.memory().snapshot()->regions()[1]->host().data());
  CHECK(table.host_of(file.region).size() == 2 * kPage);
  MemoryRegion other = file.region;
  other.mmap_offset = 0;
  CHECK(table.host_of(other).empty());
}

TEST_CASE("to go on tracking forgets nothing", "[memory][log]") {
  const UniqueFd fd = memfd(4);
  MemoryTable table;
  REQUIRE(table.set(files_of({{0, 4, 0, 0}}, fd)));
  REQUIRE(table.track_writes(true));
  REQUIRE(table.memory().view().write(GuestAddress(2 * kPage), Le64(1)));
  REQUIRE(table.track_writes(true));
  CHECK(table.memory().snapshot()->regions()[0]->dirty()->is_dirty(2 * kPage));
}

TEST_CASE("a dirty log has what was written", "[log]") {
  const UniqueFd fd = memfd(300);
  MemoryTable table;
  REQUIRE(table.set(files_of({{3, 100, 1000, 0}, {200, 100, 2000, 100}}, fd)));
  REQUIRE(table.memory().view().write(GuestAddress(3 * kPage), Le64(1)));
  REQUIRE(table.track_writes(true));
  const UniqueFd log_fd = memfd(2);
  const auto log = DirtyLog::map({.bytes = 38, .mmap_offset = kPage + 64}, log_fd);
  REQUIRE(log);
  CHECK(log->covers(*table.memory().snapshot()));
  const auto bit_of = [&](std::uint64_t page) {
    std::uint8_t byte = 0;
    REQUIRE(::pread(log_fd.get(), &byte, 1, static_cast<off_t>(kPage + 64 + page / 8)) == 1);
    return (byte >> page % 8 & 1) != 0;
  };
  REQUIRE(table.memory().view().write(GuestAddress(4 * kPage - 4), Le64(1)));
  REQUIRE(table.memory().view().write(GuestAddress(299 * kPage), Le64(1)));
  log->collect(*table.memory().snapshot());
  for (std::uint64_t page = 0; page < 304; ++page) {
    CAPTURE(page);
    CHECK(bit_of(page) == (page == 3 || page == 4 || page == 299));
  }
  log->mark(8 * kPage - 1, 2);
  CHECK(bit_of(7));
  CHECK(bit_of(8));
  CHECK_FALSE(bit_of(9));
  log->mark(20 * kPage + 5, 0);
  CHECK_FALSE(bit_of(20));
  log->mark(~std::uint64_t{0} - 1, 2);  // beyond it: nothing
  log->mark(303 * kPage, ~std::uint64_t{0});
  CHECK(bit_of(303));
  std::uint8_t after = 0;
  REQUIRE(::pread(log_fd.get(), &after, 1, static_cast<off_t>(kPage + 64 + 38)) == 1);
  CHECK(after == 0);
}

TEST_CASE("a log that is too short for what is collected has what fits", "[log][hostile]") {
  const UniqueFd fd = memfd(300);
  MemoryTable table;
  const UniqueFd log_fd = memfd(1);
  const auto log = DirtyLog::map({.bytes = 37}, log_fd);
  REQUIRE(log);
  CHECK(log->covers(*table.memory().snapshot()));  // no memory
  REQUIRE(table.set(files_of({{0, 300, 1000, 0}}, fd)));
  log->collect(*table.memory().snapshot());  // not tracked
  REQUIRE(table.track_writes(true));
  for (const std::uint64_t page : {std::uint64_t{295}, std::uint64_t{296}, std::uint64_t{299}}) {
    REQUIRE(table.memory().view().write(GuestAddress(page * kPage), Le64(1)));
  }
  log->collect(*table.memory().snapshot());
  std::array<std::uint8_t, 38> bytes{};
  REQUIRE(::pread(log_fd.get(), bytes.data(), bytes.size(), 0) == 38);
  CHECK(bytes[36] == 0x80);
  CHECK(bytes[37] == 0);
}

TEST_CASE("a log that is too small is told, and one beyond its file refused", "[log][hostile]") {
  const UniqueFd fd = memfd(300);
  MemoryTable table;
  REQUIRE(table.set(files_of({{0, 300, 1000, 0}}, fd)));
  const UniqueFd log_fd = memfd(1);
  CHECK_FALSE(DirtyLog::map({.bytes = 37}, log_fd)->covers(*table.memory().snapshot()));
  CHECK(DirtyLog::map({.bytes = 38}, log_fd)->covers(*table.memory().snapshot()));
  CHECK(is(DirtyLog::map({.bytes = kPage + 1}, log_fd).error(), MessageError::kBadRange));
  CHECK(is(DirtyLog::map({.bytes = 1, .mmap_offset = kPage}, log_fd).error(),
           MessageError::kBadRange));
}

TEST_CASE("a log moves what many words say, once", "[log]") {
  constexpr std::uint64_t kPages = 3 * 64 * 1024 + 5;  // more than what is moved at once
  const UniqueFd fd = memfd(kPages);
  MemoryTable table;
  REQUIRE(table.track_writes(true));
  REQUIRE(table.set(files_of({{0, kPages, 1000, 0}}, fd)));
  const UniqueFd log_fd = memfd(8);
  const auto log = DirtyLog::map({.bytes = kPages / 8 + 1}, log_fd);
  REQUIRE(log);
  const std::array<std::uint64_t, 5> written{0, 64 * 1024 - 1, 64 * 1024, 2 * 64 * 1024 + 77,
                                             kPages - 1};
  std::array<std::uint8_t, kPages / 8 + 1> bits{};
  for (const bool again : {false, true}) {
    if (!again) {
      for (const std::uint64_t page : written) {
        REQUIRE(table.memory().view().write(GuestAddress(page * kPage), Le64(1)));
      }
    }
    log->collect(*table.memory().snapshot());
    REQUIRE(::pread(log_fd.get(), bits.data(), bits.size(), 0) ==
            static_cast<ssize_t>(bits.size()));
    std::size_t count = 0;
    for (const std::uint8_t byte : bits) count += static_cast<std::size_t>(std::popcount(byte));
    CHECK(count == (again ? 0 : written.size()));
    for (const std::uint64_t page : written) {
      CHECK((bits[page / 8] >> page % 8 & 1) == (again ? 0 : 1));
    }
    bits.fill(0);
    REQUIRE(::pwrite(log_fd.get(), bits.data(), bits.size(), 0) ==
            static_cast<ssize_t>(bits.size()));
  }
}

TEST_CASE("sparse memory beyond the limit has no log", "[log][hostile]") {
  // It leaves no room for 16 TiB.
  if (vm_memory::detail::kThreadSanitizer) return;
  const std::uint64_t most = MemoryTable::kMostTracked / kPage;
  const UniqueFd fd = memfd(most + 1);
  MemoryTable table;
  SECTION("when it is switched on") {
    REQUIRE(table.set(files_of({{0, most + 1, 1 << 20, 0}}, fd)));
    CHECK(is(table.track_writes(true).error(), MessageError::kTooLarge));
    CHECK(table.memory().snapshot()->regions()[0]->dirty() == nullptr);
  }
  SECTION("in several regions") {
    REQUIRE(
        table.set(files_of({{0, most / 2, 1 << 20, 0}, {most, most / 2 + 1, most * 2, 0}}, fd)));
    CHECK(is(table.track_writes(true).error(), MessageError::kTooLarge));
  }
  SECTION("while it is on") {
    REQUIRE(table.track_writes(true));
    CHECK(
        is(table.set(files_of({{0, most + 1, 1 << 20, 0}}, fd)).error(), MessageError::kTooLarge));
    CHECK(is(table.add(file_of({0, most + 1, 1 << 20, 0}, fd)).error(), MessageError::kTooLarge));
    constexpr std::uint64_t kHalf = std::uint64_t{1} << 51;  // of 2^64 bytes
    CHECK(is(table.set(files_of({{0, kHalf, 0, 0}, {0, kHalf, 0, 0}}, fd)).error(),
             MessageError::kTooLarge));
    REQUIRE(table.add(file_of({0, 1, 1 << 20, 0}, fd)));
    CHECK(is(table.add(file_of({1, most, most, 0}, fd)).error(), MessageError::kTooLarge));
    CHECK(table.size() == 1);
  }
}

TEST_CASE("files of huge pages are mapped in whole ones, and unmapped again", "[log][inflight]") {
  const UniqueFd fd(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB));
  if (!fd) return;  // a kernel without them
  REQUIRE(::ftruncate(fd.get(), off_t{1} << 30) == 0);
  {
    CHECK(DirtyLog::map({.bytes = 64, .mmap_offset = kPage + 64}, fd));
    const InflightArea area{
        .mmap_bytes = 1 << 16, .mmap_offset = kPage, .queue_count = 1, .queue_size = 16};
    CHECK(InflightMemory::open(area, UniqueFd(::dup(fd.get())), false));
  }
  CHECK(mapping_count("/memfd:huge") == 0);
}

TEST_CASE("inflight memory outlives its maker", "[inflight]") {
  for (const bool packed : {false, true}) {
    const auto first = InflightMemory::create(3, 128, packed);
    REQUIRE(first);
    CHECK(first->area().queue_count == 3);
    first->queue(2)->store<std::uint16_t>(77, 0);
    CHECK_FALSE(first->queue(3));
    const auto second = InflightMemory::open(first->area(), UniqueFd(::dup(first->fd())), packed);
    REQUIRE(second);
    CHECK(second->queue(2)->load<std::uint16_t>(0) == 77);
    CHECK(second->queue(1)->load<std::uint16_t>(0) == 0);
  }
}

TEST_CASE("inflight memory that is too small is refused", "[inflight][hostile]") {
  const auto made = InflightMemory::create(2, 128, false);
  REQUIRE(made);
  const auto open_with = [&](auto change, MessageError error = MessageError::kBadRange) {
    InflightArea area = made->area();
    change(area);
    const auto opened = InflightMemory::open(area, UniqueFd(::dup(made->fd())), false);
    return !opened && is(opened.error(), error);
  };
  constexpr auto kBadValue = MessageError::kBadValue;
  CHECK(open_with([](InflightArea& area) { area.mmap_bytes = 100; }));
  CHECK(open_with([](InflightArea& area) { area.mmap_bytes *= 2; }));
  CHECK(open_with([](InflightArea& area) { area.mmap_offset = kPage; }));
  CHECK(open_with([](InflightArea& area) { area.mmap_offset = 1; }));
  CHECK(open_with([](InflightArea& area) { area.queue_size = 256 * 4; }));
  CHECK(open_with([](InflightArea& area) { area.queue_count = 256; }));
  CHECK(open_with([](InflightArea& area) { area.queue_count = 0; }));
  // There would be room in the file.
  CHECK(open_with([](InflightArea& area) {
    area.mmap_bytes -= 64;
    area.mmap_offset = 64;
  }));
  CHECK(open_with([](InflightArea& area) { area.queue_count = 257; }, kBadValue));
  CHECK(open_with([](InflightArea& area) { area.queue_size = 32769; }, kBadValue));
  CHECK(is(InflightMemory::create(0, 128, false).error(), kBadValue));
  CHECK(is(InflightMemory::create(257, 128, false).error(), kBadValue));
  CHECK(is(InflightMemory::create(1, 0, false).error(), kBadValue));
  CHECK(is(InflightMemory::create(1, 32769, false).error(), kBadValue));
}

}  // namespace
}  // namespace vmm::vhost_user
