// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// VHDX images, as QEMU reads and writes them.

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "qemu_img.h"
#include "vhdx_maker.h"

namespace vmm::block {
namespace {

using Bytes = std::vector<std::byte>;
using Kind = DiskRequest::Kind;

constexpr OpenOptions kVhdx = {.format = ImageFormat::kVhdx};

std::shared_ptr<Image> open(const std::string& path, OpenOptions options = kVhdx) {
  auto image = open_image(path, options);
  if (!image) FAIL(to_string(image.error()));
  return *std::move(image);
}

int write(DiskQueue& queue, std::uint64_t at, Bytes data) {
  const IoVec list{data.data(), data.size()};
  return run(queue, {.kind = Kind::kWrite, .range = {at, data.size()}, .buffers = {&list, 1}})
      .error;
}

Bytes part(const Bytes& of, std::size_t at, std::size_t bytes) {
  const auto front = of.begin() + static_cast<std::ptrdiff_t>(at);
  return {front, front + static_cast<std::ptrdiff_t>(bytes)};
}

std::uint64_t file_bytes(const std::string& path) { return std::filesystem::file_size(path); }

TEST_CASE("VHDX images of all kinds are read as QEMU reads them", "[vhdx]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string options =
      GENERATE(as<std::string>(), "subformat=dynamic", "subformat=fixed",
               "subformat=dynamic,block_size=1M", "subformat=dynamic,block_size=256M",
               "subformat=fixed,block_size=1M", "subformat=dynamic,block_state_zero=off");
  INFO(options);
  const std::string path = folder / "a.vhdx";
  must_run("qemu-img create -q -f vhdx -o " + options + " '" + path + "' 21M");
  must_run(
      "qemu-io -f vhdx -c 'write -P 1 0 64k' -c 'write -P 2 100k 512' -c 'write -P 3 1000k "
      "3M' -c 'write -P 4 21503k 1k' '" +
      path + "'");
  const auto theirs = content_by_qemu(path, "vhdx");
  const auto image = open(path, {.format = ImageFormat::kVhdx, .readonly = true});
  CHECK(image->size_bytes() == 21 << 20);
  require_same(content_by_us(image), theirs);
  require_same(content_by_us(image, 512 * 7, any_engine()), theirs);
}

TEST_CASE("what is written to a VHDX image is what QEMU reads", "[vhdx]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const EngineKind engine = any_engine();
  const bool direct = GENERATE(false, true);
  const std::string options = GENERATE(as<std::string>(), "subformat=dynamic,block_size=1M",
                                       "subformat=dynamic", "subformat=fixed");
  INFO(options);
  const std::string path =
      (direct ? "/var/tmp/vmm-" + std::to_string(::getpid()) : folder / "a") + ".vhdx";
  must_run("qemu-img create -q -f vhdx -o " + options + " '" + path + "' 21M");
  Bytes shadow(21 << 20);
  for (int life = 0; life < 2; ++life) {
    auto opened = open_image(path, {.format = ImageFormat::kVhdx, .direct = direct});
    if (!opened && direct) return (void)std::filesystem::remove(path);  // not on this file system
    REQUIRE(opened);
    const std::shared_ptr<Image> image = *std::move(opened);
    const auto queue = *DiskQueue::create(image, {.engine = engine, .depth = 4});
    std::mt19937_64 random(static_cast<unsigned>(life));
    for (unsigned i = 0; i < 40; ++i) {
      const std::size_t bytes = 4096 * (1 + random() % (i % 8 == 0 ? 600 : 8));
      const std::size_t at = random() % ((shadow.size() - bytes) / 4096) * 4096;
      const bool zeroes = random() % 6 == 0;
      const Bytes data = zeroes ? Bytes(bytes) : pattern(bytes, i);
      std::ranges::copy(data, shadow.begin() + static_cast<std::ptrdiff_t>(at));
      if (zeroes) {
        CHECK(run(*queue, {.kind = Kind::kWriteZeroes, .range = {at, bytes}}).error == 0);
      } else {
        CHECK(write(*queue, at, data) == 0);
      }
      if (i % 10 == 0) CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
    }
    require_same(content_by_us(image), shadow);
  }
  require_same(content_by_qemu(path, "vhdx"), shadow);
  must_run("qemu-img check -q -f vhdx '" + path + "'");
  std::filesystem::remove(path);
}

TEST_CASE("a block takes space when it is written, and not before", "[vhdx]") {
  const Scratch file(0);
  VhdxMaker maker;
  maker.sign();
  file.write(0, maker.bytes);
  constexpr std::uint64_t kMiB = VhdxMaker::kMiB;
  const auto image = open(file.path());
  const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 1});
  require_same(content_by_us(image), Bytes(VhdxMaker::kDisk));
  CHECK(run(*queue, {.kind = Kind::kWriteZeroes, .range = {0, VhdxMaker::kDisk}}).error == 0);
  CHECK(run(*queue, {.kind = Kind::kDiscard, .range = {0, VhdxMaker::kDisk}}).error == 0);
  CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
  require_same(file.read(0, maker.bytes.size()), maker.bytes);  // nobody has begun to write
  CHECK(file_bytes(file.path()) == VhdxMaker::kEnd);

  CHECK(write(*queue, 3 * kMiB - 512, pattern(1024, 1)) == 0);  // two blocks
  CHECK(file_bytes(file.path()) == VhdxMaker::kEnd + 2 * kMiB);
  CHECK(write(*queue, 2 * kMiB, pattern(4096, 2)) == 0);
  CHECK(file_bytes(file.path()) == VhdxMaker::kEnd + 2 * kMiB);
  CHECK(write(*queue, VhdxMaker::kDisk - 512, pattern(512, 3)) == 0);  // the last one, a part
  CHECK(file_bytes(file.path()) == VhdxMaker::kEnd + 3 * kMiB);
  const Bytes content = content_by_us(image);
  CHECK(part(content, 2 * kMiB, 4096) == pattern(4096, 2));
  require_same(part(content, 0, 2 * kMiB), Bytes(2 * kMiB));
  CHECK(image->resize(kMiB).error().is_os(ENOTSUP));
}

TEST_CASE("a VHDX image is good at any time, and has what was flushed", "[vhdx]") {
  const Scratch file(0);
  const Scratch crashed(0);
  VhdxMaker maker;
  maker.sign();
  file.write(0, maker.bytes);
  const auto crash = [&] {
    crashed.write(0, file.read(0, file_bytes(file.path())));
    OpenOptions options = kVhdx;
    options.lock.reset();
    return content_by_us(open(crashed.path(), options), 1 << 20);
  };
  const auto image = open(file.path());
  const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 1});
  CHECK(write(*queue, 0, pattern(512, 1)) == 0);
  require_same(crash(), Bytes(VhdxMaker::kDisk));
  CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
  Bytes shadow(VhdxMaker::kDisk);
  std::ranges::copy(pattern(512, 1), shadow.begin());
  require_same(crash(), shadow);
  CHECK(write(*queue, 4 << 20, pattern(512, 2)) == 0);
  require_same(crash(), shadow);
}

TEST_CASE("who begins to write says so in the headers, one after the other", "[vhdx]") {
  const Scratch file(0);
  VhdxMaker maker;
  maker.sign();
  file.write(0, maker.bytes);
  const auto header = [&](std::size_t index) { return file.read(VhdxMaker::kHeaders[index], 48); };
  {
    const auto image = open(file.path());
    const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 1});
    CHECK(write(*queue, 0, pattern(512, 1)) == 0);
    const Bytes once = header(0);
    CHECK(write(*queue, 4 << 20, pattern(512, 1)) == 0);
    CHECK(header(0) == once);
  }
  // The second one was the older one, of 6.
  CHECK(header(1)[8] == std::byte{8});
  CHECK(header(0)[8] == std::byte{9});
  CHECK(part(header(0), 16, 32) == part(header(1), 16, 32));
  CHECK(part(header(0), 16, 16) != Bytes(16));
  CHECK(part(header(0), 32, 16) != Bytes(16));
  CHECK(open(file.path())->size_bytes() == VhdxMaker::kDisk);
}

TEST_CASE("a VHDX image that may not be written is not", "[vhdx]") {
  const Scratch file(0);
  VhdxMaker maker;
  maker.sign();
  file.write(0, maker.bytes);
  const auto image = open(file.path(), {.format = ImageFormat::kVhdx, .readonly = true});
  const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 1});
  CHECK(write(*queue, 0, Bytes(512)) == EROFS);
  for (const Kind kind : {Kind::kDiscard, Kind::kWriteZeroes}) {
    CHECK(run(*queue, {.kind = kind, .range = {0, 512}}).error == EROFS);
  }
  CHECK(image->resize(1 << 20).error().is_os(EROFS));
  require_same(file.read(0, maker.bytes.size()), maker.bytes);
}

}  // namespace
}  // namespace vmm::block
