// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// VHDX images that make no sense, or want what is not there.

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "qemu_img.h"
#include "vhdx_maker.h"

namespace vmm::block {
namespace {

using Bytes = std::vector<std::byte>;
using Kind = DiskRequest::Kind;
using Make = VhdxMaker;

constexpr OpenOptions kVhdx = {.format = ImageFormat::kVhdx};
constexpr OpenOptions kReadonly = {.format = ImageFormat::kVhdx, .readonly = true};
constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

struct Spoiled {
  const char* what;
  std::function<void(VhdxMaker&)> change;
  int error;
};

void check(const Spoiled& one, const OpenOptions& options) {
  INFO(one.what);
  const Scratch file(0);
  VhdxMaker maker;
  one.change(maker);
  maker.sign();
  file.write(0, maker.bytes);
  const auto image = open_image(file.path(), options);
  CHECK(image.has_value() == (one.error == 0));
  if (!image) CHECK(image.error().is_os(one.error));
}

TEST_CASE("headers and regions of VHDX images that cannot be", "[vhdx][hostile]") {
  const Spoiled cases[] = {
      {"nothing", [](Make&) {}, 0},
      {"no mark", [](Make& m) { m.put(0, 0, 1); }, EINVAL},
      {"one header", [](Make& m) { m.put(Make::kHeaders[0], 0, 1); }, 0},
      {"the other header", [](Make& m) { m.put(Make::kHeaders[1], 0, 1); }, 0},
      {"no header", [](Make& m) { m.put(Make::kHeaders, 0, 0, 1); }, EINVAL},
      {"version 0", [](Make& m) { m.put(Make::kHeaders, 66, 0, 2); }, ENOTSUP},
      {"version 2", [](Make& m) { m.put(Make::kHeaders, 66, 2, 2); }, ENOTSUP},
      {"an old header of version 2", [](Make& m) { m.put(Make::kHeaders[1] + 66, 2, 2); }, 0},
      {"a log", [](Make& m) { m.put(Make::kHeaders, 63, 1, 1); }, ENOTSUP},
      {"an old log", [](Make& m) { m.put(Make::kHeaders[1] + 63, 1, 1); }, 0},
      {"no room for a log", [](Make& m) { m.put(Make::kHeaders, 68, 0, 4); }, 0},
      {"a log beyond the end", [](Make& m) { m.put(Make::kHeaders, 72, Make::kEnd, 8); }, EINVAL},
      {"a log at the very end", [](Make& m) { m.put(Make::kHeaders, 72, kMost, 8); }, EINVAL},
      {"a log in the headers", [](Make& m) { m.put(Make::kHeaders, 72, 0, 8); }, EINVAL},
      {"a log in the table", [](Make& m) { m.put(Make::kHeaders, 72, Make::kTable, 8); }, EINVAL},
      {"one list of regions", [](Make& m) { m.put(Make::kRegions[0], 0, 1); }, 0},
      {"no list of regions", [](Make& m) { m.put(Make::kRegions, 0, 0, 1); }, EINVAL},
      {"no regions", [](Make& m) { m.put(Make::kRegions, 8, 0, 4); }, EINVAL},
      {"one region", [](Make& m) { m.put(Make::kRegions, 8, 1, 4); }, EINVAL},
      {"2048 regions", [](Make& m) { m.put(Make::kRegions, 8, 2048, 4); }, EINVAL},
      {"as many as can be said", [](Make& m) { m.put(Make::kRegions, 8, kMost, 4); }, EINVAL},
      {"a region that is needed",
       [](Make& m) {
         m.put(Make::kRegions, 8, 3, 4);
         m.put(Make::kRegions, 16 + 2 * 32 + 28, 1, 4);
       },
       ENOTSUP},
      {"a region that is not needed", [](Make& m) { m.put(Make::kRegions, 8, 3, 4); }, 0},
      {"a region twice",
       [](Make& m) {
         m.put(Make::kRegions, 8, 3, 4);
         for (const std::size_t at : Make::kRegions) {
           m.guid(at + 16 + 2 * 32, "2dc27766f62342009d64115e9bfd4a08");
           m.put(at + 16 + 2 * 32 + 16, Make::kTable, 8);
           m.put(at + 16 + 2 * 32 + 24, Make::kMiB, 4);
         }
       },
       EINVAL},
      {"the table at odd bytes", [](Make& m) { m.put(Make::kRegions, 32, 2049 << 10, 8); }, EINVAL},
      {"the table in the headers", [](Make& m) { m.put(Make::kRegions, 32, 0, 8); }, EINVAL},
      {"the table beyond the end", [](Make& m) { m.put(Make::kRegions, 32, Make::kEnd, 8); },
       EINVAL},
      {"the table at the very end",
       [](Make& m) { m.put(Make::kRegions, 32, ~(Make::kMiB - 1), 8); }, EINVAL},
      {"the table in the metadata", [](Make& m) { m.put(Make::kRegions, 32, Make::kMetadata, 8); },
       EINVAL},
      {"a table of nothing", [](Make& m) { m.put(Make::kRegions, 40, 0, 4); }, EINVAL},
      {"a table longer than the file", [](Make& m) { m.put(Make::kRegions, 40, kMost, 4); },
       EINVAL},
      {"a table of five entries", [](Make& m) { m.put(Make::kRegions, 40, 40, 4); }, EINVAL},
      {"a table of six", [](Make& m) { m.put(Make::kRegions, 40, 48, 4); }, 0},
  };
  for (const Spoiled& one : cases) check(one, kReadonly);
}

TEST_CASE("metadata of VHDX images that cannot be", "[vhdx][hostile]") {
  constexpr std::size_t kFirst = Make::kMetadata + 32;
  const Spoiled cases[] = {
      {"no mark", [](Make& m) { m.put(Make::kMetadata, 0, 1); }, EINVAL},
      {"no items", [](Make& m) { m.put(Make::kMetadata + 10, 0, 2); }, EINVAL},
      {"2048 items", [](Make& m) { m.put(Make::kMetadata + 10, 2048, 2); }, EINVAL},
      {"an item that is needed",
       [](Make& m) {
         m.put(Make::kMetadata + 10, 6, 2);
         m.put(kFirst + 5 * 32 + 24, 4, 4);
       },
       ENOTSUP},
      {"an item that is not needed", [](Make& m) { m.put(Make::kMetadata + 10, 6, 2); }, 0},
      {"an item in the list", [](Make& m) { m.put(kFirst + 16, 0, 4); }, EINVAL},
      {"an item behind the region", [](Make& m) { m.put(kFirst + 16, Make::kMiB - 7, 4); }, EINVAL},
      {"an item far away", [](Make& m) { m.put(kFirst + 16, kMost, 4); }, EINVAL},
      {"an item of another size", [](Make& m) { m.put(kFirst + 20, 4, 4); }, EINVAL},
      {"blocks of nothing", [](Make& m) { m.put(Make::kItems, 0, 4); }, EINVAL},
      {"blocks of half a MiB", [](Make& m) { m.put(Make::kItems, 512 << 10, 4); }, EINVAL},
      {"blocks of 3 MiB", [](Make& m) { m.put(Make::kItems, 3 << 20, 4); }, EINVAL},
      {"blocks of 256 MiB", [](Make& m) { m.put(Make::kItems, 256 << 20, 4); }, 0},
      {"blocks of 512 MiB", [](Make& m) { m.put(Make::kItems, 512 << 20, 4); }, EINVAL},
      {"blocks that stay", [](Make& m) { m.put(Make::kItems + 4, 1, 4); }, 0},
      {"a parent", [](Make& m) { m.put(Make::kItems + 4, 2, 4); }, ENOTSUP},
      {"a disk of nothing", [](Make& m) { m.put(Make::kItems + 8, 0, 8); }, EINVAL},
      {"half a sector", [](Make& m) { m.put(Make::kItems + 8, 256, 8); }, EINVAL},
      {"one sector", [](Make& m) { m.put(Make::kItems + 8, 512, 8); }, 0},
      {"more than the table says", [](Make& m) { m.put(Make::kItems + 8, 1ULL << 40, 8); }, EINVAL},
      {"more than 64 TiB",
       [](Make& m) {
         m.put(Make::kItems, 256 << 20, 4);
         m.put(Make::kItems + 8, (1ULL << 46) + 512, 8);
       },
       EINVAL},
      {"64 TiB",
       [](Make& m) {
         m.put(Make::kItems, 256 << 20, 4);
         m.put(Make::kItems + 8, 1ULL << 46, 8);
       },
       EINVAL},
      {"more than can be said", [](Make& m) { m.put(Make::kItems + 8, ~511ULL, 8); }, EINVAL},
      {"sectors of 4 KiB", [](Make& m) { m.put(Make::kItems + 16, 4096, 4); }, ENOTSUP},
      {"sectors of 1 KiB", [](Make& m) { m.put(Make::kItems + 16, 1024, 4); }, EINVAL},
      {"sectors of nothing", [](Make& m) { m.put(Make::kItems + 16, 0, 4); }, EINVAL},
  };
  for (const Spoiled& one : cases) check(one, kReadonly);
}

TEST_CASE("a table of more blocks than are kept in memory is refused", "[vhdx][hostile]") {
  for (const std::uint64_t disk : {std::uint64_t{4} << 40, (std::uint64_t{4} << 40) + 512}) {
    CAPTURE(disk);
    const Scratch file(0);
    VhdxMaker maker;
    maker.put(Make::kRegions, 32, 8 * Make::kMiB, 8);
    maker.put(Make::kRegions, 40, 64 * Make::kMiB, 4);
    maker.put(Make::kItems + 8, disk, 8);
    maker.sign();
    file.write(0, maker.bytes);
    REQUIRE(::ftruncate(file.fd(), 72 << 20) == 0);
    const auto image = open_image(file.path(), kReadonly);
    // 4 Mi entries, and one of another kind after each 4096 of these.
    CHECK(image.has_value() == false);
    CHECK(image.error().is_os(EFBIG));
  }
}

TEST_CASE(
    "a block that is no data harms the requests for it, and keeps the image from being written",
    "[vhdx][hostile]") {
  struct Case {
    const char* what;
    std::uint64_t state, at;
  };
  const Case cases[] = {
      {"no state", 4, Make::kEnd},
      {"no state", 5, Make::kEnd},
      {"a part of a block", 7, Make::kEnd},
      {"a block in the headers", 6, 0},
      {"a block in the log", 6, Make::kLog},
      {"a block in the table", 6, Make::kTable},
      {"a block in the metadata", 6, Make::kMetadata},
      {"a block beyond the end", 6, 5 * Make::kMiB},
      {"a block at the very end", 6, ~(Make::kMiB - 1)},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what, one.state);
    const Scratch file(0);
    VhdxMaker maker;
    maker.bytes.resize(5 * Make::kMiB, std::byte{0x77});
    maker.block(0, 6, Make::kEnd);
    maker.block(1, one.state, one.at);
    maker.sign();
    file.write(0, maker.bytes);
    CHECK(open_image(file.path(), kVhdx).error().is_os(EROFS));
    const std::shared_ptr<Image> image = *open_image(file.path(), kReadonly);
    const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 1});
    Bytes data(2 * Make::kMiB);
    const IoVec list{data.data(), data.size()};
    const IoVec first{data.data(), Make::kMiB};
    CHECK(run(*queue, {.kind = Kind::kRead, .range = {0, Make::kMiB}, .buffers = {&first, 1}})
              .error == 0);
    CHECK(data[5] == std::byte{0x77});
    const EndedRequest ended =
        run(*queue, {.kind = Kind::kRead, .range = {0, data.size()}, .buffers = {&list, 1}});
    CHECK(ended.error != 0);
    CHECK(run(*queue,
              {.kind = Kind::kRead, .range = {4 * Make::kMiB, Make::kMiB}, .buffers = {&first, 1}})
              .error == 0);
    CHECK(data[5] == std::byte{0});
  }
}

TEST_CASE("a VHDX image that is cut anywhere is an error, never a surprise", "[vhdx][hostile]") {
  VhdxMaker maker;
  maker.block(0, 6, Make::kEnd);
  maker.sign();
  maker.bytes.resize(5 * Make::kMiB, std::byte{1});
  for (const std::uint64_t bytes :
       {0ULL, 1ULL, 8ULL, 65535ULL, 65536ULL + 80, 131072ULL, 196608ULL, 262144ULL, 327680ULL,
        1ULL << 20, 2ULL << 20, 3ULL << 20, (3ULL << 20) + 1, (4ULL << 20) - 1}) {
    CAPTURE(bytes);
    const Scratch file(0);
    file.write(0, maker.bytes);
    REQUIRE(::ftruncate(file.fd(), static_cast<off_t>(bytes)) == 0);
    CHECK(open_image(file.path(), kReadonly).error().is_os(EINVAL));
    CHECK(open_image(file.path(), kVhdx).error().is_os(EINVAL));
  }
}

}  // namespace
}  // namespace vmm::block
