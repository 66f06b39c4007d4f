// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pmem_device.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "vmm/sys_util/temp_directory.h"
#include "vmm/sys_util/temp_file.h"

using namespace vmm;
using namespace vmm::reference;

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

sys_util::TempFile file_of(std::uint64_t bytes) {
  auto file = sys_util::TempFile::create();
  REQUIRE(file);
  REQUIRE(::ftruncate(file->fd(), static_cast<off_t>(bytes)) == 0);
  return std::move(*file);
}

PmemConfig config_of(const std::string& path, std::uint64_t size = 0) {
  PmemConfig config;
  config.file = path;
  config.size = size;
  return config;
}

}  // namespace

TEST_CASE("a pmem file has its own size or a smaller one", "[pmem]") {
  const auto file = file_of(8 * kMiB);
  CHECK(open_pmem(config_of(file.path()))->bytes == 8 * kMiB);
  CHECK(open_pmem(config_of(file.path(), 4 * kMiB))->bytes == 4 * kMiB);
}

TEST_CASE("a pmem file that does not fit is refused", "[pmem]") {
  struct Row {
    std::uint64_t file;
    std::uint64_t wanted;
    const char* message;
  };
  const auto row = GENERATE(values<Row>({{3 * kMiB, 0, "multiple of 2 MiB"},
                                         {0, 0, "multiple of 2 MiB"},
                                         {8 * kMiB, 3 * kMiB, "multiple of 2 MiB"},
                                         {2 * kMiB, 4 * kMiB, "more than the file has"},
                                         {2 * kMiB, ~std::uint64_t{0}, "more than the file has"}}));
  const auto file = file_of(row.file);
  const auto opened = open_pmem(config_of(file.path(), row.wanted));
  REQUIRE_FALSE(opened);
  CHECK(opened.error().exit_code() == 2);
  CHECK_THAT(opened.error().message, Catch::Contains(row.message));
}

TEST_CASE("a folder stands for a new file in it", "[pmem]") {
  const auto folder = sys_util::TempDirectory::create();
  REQUIRE(folder);
  const std::string path(folder->path());
  CHECK_FALSE(open_pmem(config_of(path)));
  const auto opened = open_pmem(config_of(path, 4 * kMiB));
  if (!opened && opened.error().message.find("not supported") != std::string::npos) {
    return;  // by the file system there
  }
  REQUIRE(opened);
  CHECK(opened->bytes == 4 * kMiB);
  CHECK_FALSE(open_pmem(config_of(path, ~std::uint64_t{0} - kMiB)));
}

TEST_CASE("discard_writes needs no permission to write", "[pmem]") {
  const auto file = file_of(2 * kMiB);
  REQUIRE(::chmod(file.path().c_str(), 0400) == 0);
  PmemConfig config = config_of(file.path());
  config.discard_writes = true;
  const auto opened = open_pmem(config);
  REQUIRE(opened);
  CHECK(::ftruncate(opened->file.get(), 0) != 0);  // open for reading alone
}

TEST_CASE("pmem files are behind RAM, each on a boundary", "[pmem]") {
  const auto first = file_of(2 * kMiB);
  const auto second = file_of(130 * kMiB);
  std::array<PmemFile, 2> pmems{*open_pmem(config_of(first.path())),
                                *open_pmem(config_of(second.path()))};
  struct Row {
    std::uint64_t ram_end;
    std::uint64_t base;
  };
  const auto row = GENERATE(values<Row>({{512 * kMiB, 4 * kGiB},
                                         {4 * kGiB, 4 * kGiB},
                                         {4 * kGiB + kMiB, 4 * kGiB + 128 * kMiB},
                                         {20 * kGiB, 20 * kGiB}}));
  const auto end = place_pmems(pmems, GuestAddress(row.ram_end));
  REQUIRE(end);
  CHECK(pmems[0].device->range() == AddressRange{GuestAddress(row.base), 2 * kMiB});
  CHECK(pmems[1].device->range() == AddressRange{GuestAddress(row.base + 128 * kMiB), 130 * kMiB});
  CHECK(*end == GuestAddress(row.base + 258 * kMiB));
  CHECK(*place_pmems({}, GuestAddress(row.ram_end)) == GuestAddress(row.ram_end));
  CHECK_FALSE(place_pmems(pmems, GuestAddress(~std::uint64_t{0} - 256 * kMiB)));
}

TEST_CASE("a file that comes later gets the lowest free place of the window", "[pmem][hotplug]") {
  const AddressRange window{GuestAddress(16 * kGiB), 4 * kGiB};
  const std::array<vm_memory::RegionConfig, 4> ram{
      vm_memory::RegionConfig{.base = GuestAddress(0), .bytes = 2 * kMiB},
      vm_memory::RegionConfig{.base = window.base, .bytes = 2 * kMiB},
      vm_memory::RegionConfig{.base = GuestAddress(16 * kGiB + 384 * kMiB), .bytes = 130 * kMiB},
      vm_memory::RegionConfig{.base = GuestAddress(64 * kGiB), .bytes = 2 * kMiB}};
  const auto memory = vm_memory::GuestMemory::create(ram);
  REQUIRE(memory);
  CHECK(find_place(2 * kMiB, window, *memory)->raw() == 16 * kGiB + 128 * kMiB);
  CHECK(find_place(256 * kMiB, window, *memory)->raw() == 16 * kGiB + 128 * kMiB);
  CHECK(find_place(258 * kMiB, window, *memory)->raw() == 16 * kGiB + 640 * kMiB);
  CHECK(find_place(4 * kGiB - 640 * kMiB, window, *memory)->raw() == 16 * kGiB + 640 * kMiB);
  CHECK_FALSE(find_place(4 * kGiB - 638 * kMiB, window, *memory));
  CHECK_FALSE(find_place(~std::uint64_t{0}, window, *memory));
  CHECK_FALSE(find_place(2 * kMiB, {GuestAddress(16 * kGiB), 0}, *memory));
}

TEST_CASE("who has the memory of before does not reach a file that was removed",
          "[pmem][hotplug][hostile]") {
  const auto file = file_of(2 * kMiB);
  const auto pmem = open_pmem(config_of(file.path()));
  REQUIRE(pmem);
  const GuestAddress base(16 * kGiB);
  pmem->device->place({base, pmem->bytes});
  auto memory = vm_memory::GuestMemory::create(
      std::array{vm_memory::RegionConfig{.base = GuestAddress(0), .bytes = 2 * kMiB}});
  REQUIRE(memory);
  REQUIRE(memory->plug({.base = base,
                        .bytes = pmem->bytes,
                        .backing = vm_memory::Backing::kFile,
                        .fd = pmem->file.get()}));
  const auto before = memory->snapshot();  // as a kernel device has it up to its reset
  REQUIRE(before->view().write(base, std::uint8_t{1}));
  unplug_pmem(*pmem, *memory);
  CHECK_FALSE(memory->view().write(base, std::uint8_t{2}));
  CHECK(before->view().write(base, std::uint8_t{3}));
  std::uint8_t kept = 0;
  REQUIRE(::pread(file.fd(), &kept, 1, 0) == 1);
  CHECK(kept == 1);
  unplug_pmem(*pmem, *memory);  // what is not there
}
