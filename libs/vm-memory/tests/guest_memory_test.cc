// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/guest_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "errors.h"
#include "vmm/base/endian.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vm_memory/snapshot_reader.h"

namespace vmm::vm_memory {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

RegionConfig at(std::uint64_t base, std::uint64_t bytes) {
  return {.base = GuestAddress(base), .bytes = bytes};
}

/// The value of a line of /proc/self/status, in KiB.
long status_kib(const char* name) {
  std::FILE* const file = std::fopen("/proc/self/status", "re");
  std::array<char, 256> line{};
  long value = -1;
  while (std::fgets(line.data(), line.size(), file) != nullptr) {
    const std::string_view text(line.data());
    if (text.starts_with(name))
      value = std::strtol(line.data() + std::string_view(name).size() + 1, nullptr, 10);
  }
  std::fclose(file);
  return value;
}

struct SetCase {
  std::vector<RegionConfig> regions;
  RegionError error;
};

TEST_CASE("sets of regions that make no sense are refused", "[guest_memory][hostile]") {
  for (const SetCase& c : {
           SetCase{{}, RegionError::kNoRegions},
           SetCase{{at(0, 0)}, RegionError::kZeroSize},
           SetCase{{at(0, 100), at(99, 100)}, RegionError::kOverlap},
           SetCase{{at(0, 100), at(0, 100)}, RegionError::kOverlap},
           SetCase{{at(100, 100), at(0, 100)}, RegionError::kUnsorted},
           SetCase{{at(0, 100), at(200, 100), at(100, 100)}, RegionError::kUnsorted},
           SetCase{{at(kMax, 1)}, RegionError::kOverflow},
           SetCase{{at(kMax - 0xfff, 0x1000)}, RegionError::kOverflow},
           SetCase{{at(0x1000, kMax)}, RegionError::kOverflow},
       }) {
    const auto memory = GuestMemory::create(c.regions);
    REQUIRE_FALSE(memory);
    INFO(to_string(memory.error()));
    CHECK(is(memory.error(), c.error));
  }
  const std::array touching{at(0, 0x1000), at(0x1000, 0x1000), at(kMax - 0x1000, 0x1000)};
  CHECK(GuestMemory::create(touching));
}

TEST_CASE("options that do not go together are refused", "[region][hostile]") {
  RegionConfig config = at(0, 0x1000);
  config.backing = Backing::kFile;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidConfig));
  config = at(0, 0x1000);
  config.fd = 0;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidConfig));
  config = at(0, 0x1000);
  config.backing = Backing::kMemfd;
  config.file_offset = 0x1000;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidConfig));
  config = at(0, 0x1000);
  config.backing = Backing::kExternal;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidPointer));
  alignas(4096) static std::array<std::byte, 8192> memory{};
  config.external = memory.data() + 1;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidPointer));
  config.external = memory.data();
  config.huge_pages = HugePages::k2MiB;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidConfig));
  config = at(0, 1 << 21);
  config.backing = Backing::kFile;
  config.fd = 0;
  config.huge_pages = HugePages::k2MiB;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidConfig));
  config = at(0, 0x1000);
  config.huge_pages = HugePages::k2MiB;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidHugePage));
  config.bytes = 1 << 21;
  config.huge_pages = HugePages::k1GiB;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidHugePage));
  config = at(0, 0x1000);
  config.dirty_tracking = true;
  config.dirty_page_bytes = 3000;
  CHECK(is(Region::create(config).error(), RegionError::kInvalidConfig));
  CHECK(Region::create(at(0, std::uint64_t{1} << 62)).error().is_os(ENOMEM));
}

TEST_CASE("file regions show the file, from the offset on", "[region]") {
  const UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::ftruncate(file.get(), 0x3000) == 0);
  REQUIRE(::pwrite(file.get(), "ab", 2, 0x1000) == 2);
  RegionConfig config = at(0, 0x2000);
  config.backing = Backing::kFile;
  config.fd = file.get();
  config.file_offset = 0x1000;
  auto memory = GuestMemory::create({&config, 1});
  REQUIRE(memory);
  CHECK(*memory->view().read<std::uint8_t>(GuestAddress(1)) == 'b');
  REQUIRE(memory->view().write<std::uint8_t>(GuestAddress(1), 'c'));
  std::array<char, 2> seen{};
  REQUIRE(::pread(file.get(), seen.data(), 2, 0x1000) == 2);
  CHECK(seen[1] == 'c');
  const auto backing = memory->snapshot()->regions()[0]->file();
  REQUIRE(backing);
  CHECK(backing->offset == 0x1000);
  CHECK(backing->fd != file.get());

  config.shared = false;
  auto copy = GuestMemory::create({&config, 1});
  REQUIRE(copy);
  REQUIRE(copy->view().write<std::uint8_t>(GuestAddress(1), 'd'));
  CHECK(*memory->view().read<std::uint8_t>(GuestAddress(1)) == 'c');
  CHECK_FALSE(copy->snapshot()->regions()[0]->file());

  for (const std::uint64_t offset : {std::uint64_t{1}, std::uint64_t{0x800}, kMax, kMax - 0xfff}) {
    config.file_offset = offset;
    CHECK(GuestMemory::create({&config, 1}).error().is_os(EINVAL));
  }
}

TEST_CASE("a memfd region cannot be resized by who shares it", "[region]") {
  RegionConfig config = at(0, 0x1800);
  config.backing = Backing::kMemfd;
  const auto region = Region::create(config);
  REQUIRE(region);
  const auto file = (*region)->file();
  REQUIRE(file);
  CHECK(file->offset == 0);
  CHECK(::ftruncate(file->fd, 0) != 0);
  CHECK(::ftruncate(file->fd, 1 << 20) != 0);
  CHECK((::fcntl(file->fd, F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("regions know when they show the same bytes of a file", "[region]") {
  const UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::ftruncate(file.get(), 0x10000) == 0);
  const auto map = [&](std::uint64_t offset, std::uint64_t bytes) {
    RegionConfig config = at(0, bytes);
    config.backing = Backing::kFile;
    config.fd = file.get();
    config.file_offset = offset;
    return *Region::create(config);
  };
  const auto first = map(0x1000, 0x2000);
  CHECK(files_overlap(*first, *map(0x2000, 0x1000)));
  CHECK(files_overlap(*map(0, 0x1001), *first));
  CHECK_FALSE(files_overlap(*first, *map(0x3000, 0x1000)));
  CHECK_FALSE(files_overlap(*map(0, 0x1000), *first));
  const auto anonymous = *Region::create(at(0, 0x1000));
  CHECK_FALSE(files_overlap(*anonymous, *anonymous));
  CHECK_FALSE(files_overlap(*anonymous, *first));
  CHECK_FALSE(files_overlap(*first, *anonymous));
  RegionConfig other = at(0, 0x10000);
  other.backing = Backing::kMemfd;
  CHECK_FALSE(files_overlap(*first, **Region::create(other)));
}

TEST_CASE("external memory is used and left alone", "[region]") {
  alignas(4096) static std::array<std::byte, 8192> bytes{};
  RegionConfig config = at(0x1000, bytes.size());
  config.backing = Backing::kExternal;
  config.external = bytes.data();
  {
    auto memory = GuestMemory::create({&config, 1});
    REQUIRE(memory);
    REQUIRE(memory->view().write(GuestAddress(0x2fff), std::uint8_t{7}));
  }
  CHECK(bytes[8191] == std::byte{7});
}

TEST_CASE("policies are applied to the memory", "[region]") {
  for (const Backing backing : {Backing::kAnonymous, Backing::kMemfd}) {
    RegionConfig config = at(0, 1 << 20);
    config.backing = backing;
    config.prefault = Prefault::kPopulate;
    config.dump = false;
    const auto region = Region::create(config);
    REQUIRE(region);
    std::vector<unsigned char> resident((1 << 20) / 4096);
    REQUIRE(::mincore((*region)->host().data(), 1 << 20, resident.data()) == 0);
    CHECK(std::ranges::all_of(resident, [](unsigned char page) { return (page & 1) != 0; }));
  }
  for (const ThpAdvice advice : {ThpAdvice::kAlways, ThpAdvice::kNever}) {
    RegionConfig config = at(0, 4 << 20);
    config.transparent_huge_pages = advice;
    const auto region = Region::create(config);
    // A kernel without huge pages refuses the advice, and says so.
    CHECK((region || region.error().is_os(EINVAL)));
  }
  RegionConfig mergeable = at(0, 1 << 20);
  mergeable.mergeable = true;
  const auto region = Region::create(mergeable);
  CHECK((region || region.error().is_os(EINVAL)));
}

TEST_CASE("a region lies to large pages as its guest addresses do", "[region]") {
  constexpr std::uint64_t kLargePage = 2 << 20;
  const auto file = sys_util::MemFd::create(3 * kLargePage);
  REQUIRE(file);
  for (const std::uint64_t base :
       {std::uint64_t{0}, std::uint64_t{0x100000}, 5 * kLargePage + 4096}) {
    for (const Backing backing : {Backing::kAnonymous, Backing::kMemfd, Backing::kFile}) {
      RegionConfig config = at(base, 2 * kLargePage + 4096);
      config.backing = backing;
      if (backing == Backing::kFile) config.fd = file->fd();
      const auto region = Region::create(config);
      REQUIRE(region);
      const auto host = reinterpret_cast<std::uintptr_t>((*region)->host().data());
      CHECK(host % kLargePage == base % kLargePage);
    }
  }
  CHECK(Region::create(at(0x800, 2 * kLargePage)));  // no page of the host can lie like that
}

TEST_CASE("untouched guest memory costs nothing", "[guest_memory]") {
  const long before = status_kib("VmRSS");
  const std::array configs{at(0, std::uint64_t{64} << 30),
                           at(std::uint64_t{1} << 40, std::uint64_t{64} << 30)};
  auto memory = GuestMemory::create(configs);
  REQUIRE(memory);
  REQUIRE(memory->view().write(GuestAddress(std::uint64_t{1} << 40), std::uint64_t{1}));
  CHECK(status_kib("VmRSS") - before < 4096);
}

TEST_CASE("a change of the regions does not reach older snapshots", "[guest_memory]") {
  auto memory = GuestMemory::create(std::array{at(0, 0x1000), at(0x2000, 0x1000)});
  REQUIRE(memory);
  const auto old = memory->snapshot();
  REQUIRE(memory->plug(at(0x1000, 0x1000)));
  CHECK(old->regions().size() == 2);
  CHECK_FALSE(old->view().contains(GuestAddress(0x1000)));
  CHECK(memory->snapshot()->regions().size() == 3);
  CHECK(memory->view().check_range(GuestAddress(0), 0x3000));
  CHECK(memory->snapshot()->total_bytes() == 0x3000);
  CHECK(memory->snapshot()->find(GuestAddress(0x1800))->base() == GuestAddress(0x1000));
  CHECK(memory->snapshot()->find(GuestAddress(0x3000)) == nullptr);

  CHECK(is(memory->plug(at(0x2800, 0x1000)).error(), RegionError::kOverlap));
  CHECK(is(memory->plug(at(0x1000, 0x1000)).error(), RegionError::kOverlap));
  CHECK(is(memory->plug(at(0x4000, 0)).error(), RegionError::kZeroSize));
  CHECK(is(memory->unplug(GuestAddress(0x1000), 0x800).error(), RegionError::kNotFound));
  CHECK(is(memory->unplug(GuestAddress(0x1800), 0x1000).error(), RegionError::kNotFound));
  CHECK(memory->snapshot()->regions().size() == 3);

  // The memory of a region outlives its removal as long as somebody holds a snapshot with it.
  const auto held = memory->snapshot();
  REQUIRE(held->view().write(GuestAddress(0x1000), Le32(5)));
  REQUIRE(memory->unplug(GuestAddress(0x1000), 0x1000));
  CHECK_FALSE(memory->view().contains(GuestAddress(0x1000)));
  CHECK(held->view().read<Le32>(GuestAddress(0x1000))->get() == 5);
  // What both have is one memory.
  REQUIRE(memory->view().write(GuestAddress(0x2000), Le32(6)));
  CHECK(old->view().read<Le32>(GuestAddress(0x2000))->get() == 6);

  REQUIRE(memory->unplug(GuestAddress(0), 0x1000));
  REQUIRE(memory->unplug(GuestAddress(0x2000), 0x1000));
  CHECK(memory->view().regions().empty());
  CHECK_FALSE(memory->view().check_range(GuestAddress(0), 1));
}

TEST_CASE("regions track their own writes", "[guest_memory]") {
  RegionConfig tracked = at(0x100000, 0x10000);
  tracked.dirty_tracking = true;
  auto memory = GuestMemory::create(std::array{at(0, 0x100000), tracked});
  REQUIRE(memory);
  const std::vector<std::byte> bytes(0x2000);
  REQUIRE(memory->view().write_bytes(GuestAddress(0x100000 - 0x800), bytes));
  const auto map = memory->snapshot();
  CHECK(map->regions()[0]->dirty() == nullptr);
  CHECK(map->regions()[1]->dirty()->get_and_reset()[0] == 0b11);
}

TEST_CASE("a reader sees the newest regions, and keeps its own until it looks", "[guest_memory]") {
  auto memory = GuestMemory::create(std::array{at(0, 0x1000)});
  REQUIRE(memory);
  SnapshotReader reader(*memory);
  const RegionMap* const first = &reader.current();
  CHECK(&reader.current() == first);
  CHECK(reader.is_current());
  REQUIRE(memory->plug(at(0x1000, 0x1000)));
  CHECK_FALSE(reader.is_current());
  CHECK(first->regions().size() == 1);  // still pinned
  CHECK(reader.current().regions().size() == 2);
  CHECK(reader.is_current());
  std::weak_ptr<const RegionMap> watch = memory->snapshot();
  REQUIRE(memory->unplug(GuestAddress(0x1000), 0x1000));
  CHECK_FALSE(watch.expired());
  reader.forget();
  CHECK(watch.expired());
  CHECK(reader.current().regions().size() == 1);
}

TEST_CASE("memory is plugged while others use it", "[guest_memory]") {
  auto memory = GuestMemory::create(std::array{at(0, 0x1000)});
  REQUIRE(memory);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  const auto use = [&](const RegionMap& map) {
    const std::uint64_t bytes = map.total_bytes();
    if (!map.view().check_range(GuestAddress(0), bytes)) wrong.fetch_add(1);
    if (!map.view().write(GuestAddress(bytes - 8), std::uint64_t{1})) wrong.fetch_add(1);
  };
  std::thread by_reader([&] {
    SnapshotReader reader(*memory);
    while (!stop.load()) use(reader.current());
  });
  std::thread by_snapshot([&] {
    while (!stop.load()) use(*memory->snapshot());
  });
  for (int i = 0; i < 300; ++i) {
    for (std::uint64_t n = 1; n <= 3; ++n) REQUIRE(memory->plug(at(n * 0x1000, 0x1000)));
    for (std::uint64_t n = 3; n >= 1; --n) {
      REQUIRE(memory->unplug(GuestAddress(n * 0x1000), 0x1000));
    }
  }
  stop.store(true);
  by_reader.join();
  by_snapshot.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE("huge pages that the host does not have are an error, not a later fault",
          "[guest_memory][hostile]") {
  // More 1 GiB pages than any host that runs this test has.
  RegionConfig config{.base = GuestAddress(0), .bytes = std::uint64_t{1} << 42};
  config.huge_pages = HugePages::k1GiB;
  for (const Backing backing : {Backing::kAnonymous, Backing::kMemfd}) {
    config.backing = backing;
    CHECK_FALSE(Region::create(config).has_value());
  }
}

TEST_CASE("a map of I/O addresses leads to the memory of another one", "[memory]") {
  struct Ignore final : FaultHandler {
    void missing(Iova, std::uint64_t, Access) override {}
    void denied(Iova, std::uint64_t, Access) override {}
  };
  const RegionConfig ram{.base = GuestAddress(0x10000), .bytes = 0x2000};
  std::shared_ptr<const RegionMap> io;
  {
    const GuestMemory memory = *GuestMemory::create({&ram, 1});
    REQUIRE(memory.view().write(GuestAddress(0x11000), Le32(7)));
    const auto physical = memory.snapshot();
    CHECK(physical->translation() == nullptr);
    const auto page = physical->view().regions()[0].host.subspan(0x1000);
    io = RegionMap::translated(
        {{GuestAddress(0x5000), page, nullptr}},
        {.physical = physical, .faults = std::make_shared<Ignore>(), .access = {Access::kRead}});
  }
  // The memory stays as long as the map does.
  CHECK(io->view().read<Le32>(GuestAddress(0x5000))->get() == 7);
  CHECK_FALSE(io->view().read<Le32>(GuestAddress(0x11000)));
  CHECK(io->regions().empty());
  CHECK(io->find(GuestAddress(0x5000)) == nullptr);
  REQUIRE(io->translation() != nullptr);
  CHECK(io->translation()->access == std::vector{Access::kRead});
}

}  // namespace
}  // namespace vmm::vm_memory
