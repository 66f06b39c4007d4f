// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/block/disk_queue.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "disk_rig.h"

namespace vmm::block {
namespace {

using Kind = DiskRequest::Kind;

std::unique_ptr<DiskQueue> make_queue(const std::shared_ptr<Image>& image, EngineKind engine,
                                      std::uint32_t depth = 8) {
  return *DiskQueue::create(image, {.engine = engine, .depth = depth, .max_buffers = 2000});
}

/// A list with a buffer for each length.
std::vector<IoVec> cut(std::vector<std::byte>& bytes, const std::vector<std::size_t>& lengths) {
  std::vector<IoVec> list;
  std::size_t at = 0;
  for (const std::size_t length : lengths) {
    list.push_back({bytes.data() + at, length});
    at += length;
  }
  REQUIRE(at == bytes.size());
  return list;
}

bool all_zero(const std::vector<std::byte>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

TEST_CASE("what was written is in the file and is read back, however it is cut", "[disk-queue]") {
  const EngineKind engine = any_engine();
  const auto lengths = GENERATE(std::vector<std::size_t>{4096}, std::vector<std::size_t>{1, 4095},
                                std::vector<std::size_t>{0, 512, 0, 3000, 584, 0});
  const Scratch disk(1 << 20);
  const auto queue = make_queue(disk.raw(), engine);
  CHECK(queue->engine_kind() == engine);
  std::vector<std::byte> data = pattern(4096, 1);
  const std::vector<IoVec> out = cut(data, lengths);
  CHECK(run(*queue, {.kind = Kind::kWrite, .range = {8192, 4096}, .buffers = out}).error == 0);
  CHECK(disk.read(8192, 4096) == data);
  CHECK(all_zero(disk.read(0, 8192)));
  std::vector<std::byte> back(4096);
  const std::vector<IoVec> in = cut(back, lengths);
  const EndedRequest read =
      run(*queue, {.kind = Kind::kRead, .range = {8192, 4096}, .buffers = in});
  CHECK(read.error == 0);
  CHECK(read.bytes == 4096);
  CHECK(back == data);
}

TEST_CASE("more buffers than the kernel takes at once are no problem", "[disk-queue]") {
  const EngineKind engine = any_engine();
  const Scratch disk(1 << 20);
  const auto queue = make_queue(disk.raw(), engine);
  std::vector<std::byte> data = pattern(512 * 1900, 2);
  const std::vector<IoVec> list = cut(data, std::vector<std::size_t>(1900, 512));
  CHECK(run(*queue, {.kind = Kind::kWrite, .range = {0, data.size()}, .buffers = list}).error == 0);
  CHECK(disk.read(0, data.size()) == data);
}

TEST_CASE("many requests are in flight at once and each ends once", "[disk-queue]") {
  const EngineKind engine = any_engine();
  const Scratch disk(1 << 20);
  const auto queue = make_queue(disk.raw(), engine, 8);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::vector<std::byte>> data;
    std::vector<IoVec> lists(8);
    for (std::uint32_t i = 0; i < 8; ++i) {
      data.push_back(pattern(8192, static_cast<unsigned>(round) * 8 + i));
      lists[i] = {data[i].data(), data[i].size()};
    }
    for (std::uint32_t i = 0; i < 8; ++i) {
      CHECK_FALSE(queue->is_full());
      queue->submit({.kind = Kind::kWrite,
                     .durable = i % 3 == 0,
                     .tag = i,
                     .range = {i * 8192ull, 8192},
                     .buffers = {&lists[i], 1}});
    }
    CHECK(queue->is_full());
    for (const EndedRequest& ended : finish(*queue, 8)) CHECK(ended.error == 0);
    CHECK_FALSE(queue->is_full());
    for (std::uint32_t i = 0; i < 8; ++i) REQUIRE(disk.read(i * 8192ull, 8192) == data[i]);
  }
}

TEST_CASE("flush, discard and zeroes do what they say", "[disk-queue]") {
  const EngineKind engine = any_engine();
  const Scratch disk(1 << 20);
  const bool sparse = GENERATE(true, false);
  const auto queue = make_queue(disk.raw({.sparse = sparse}), engine);
  disk.write(0, pattern(1 << 20, 3));
  CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
  struct stat before{};
  struct stat after{};
  REQUIRE(::fstat(disk.fd(), &before) == 0);
  SECTION("a discard gives the space back, if it may") {
    CHECK(run(*queue, {.kind = Kind::kDiscard, .range = {65536, 65536}}).error == 0);
    REQUIRE(::fstat(disk.fd(), &after) == 0);
    CHECK((after.st_blocks < before.st_blocks) == sparse);
    if (!sparse) CHECK(disk.read(65536, 65536) != std::vector<std::byte>(65536));
  }
  SECTION("zeroes with unmapping") {
    CHECK(run(*queue, {.kind = Kind::kWriteZeroes,
                       .durable = true,
                       .may_unmap = true,
                       .range = {65536, 65536}})
              .error == 0);
    REQUIRE(::fstat(disk.fd(), &after) == 0);
    CHECK((after.st_blocks < before.st_blocks) == sparse);
    CHECK(all_zero(disk.read(65536, 65536)));
  }
  SECTION("zeroes without") {
    CHECK(run(*queue, {.kind = Kind::kWriteZeroes, .range = {512, 65536}}).error == 0);
    REQUIRE(::fstat(disk.fd(), &after) == 0);
    CHECK(after.st_blocks == before.st_blocks);
    CHECK(all_zero(disk.read(512, 65536)));
  }
  CHECK(disk.read(0, 512) != std::vector<std::byte>(512));
  CHECK(before.st_size == (1 << 20));
}

TEST_CASE("an error touches its own request only", "[disk-queue][hostile]") {
  const EngineKind engine = any_engine();
  const Scratch disk(65536);
  const auto image = disk.raw();
  const auto queue = make_queue(image, engine);
  std::vector<std::byte> data = pattern(4096, 4);
  const IoVec good{data.data(), data.size()};
  const IoVec bad{reinterpret_cast<void*>(4096), 4096};  // nothing is mapped there
  SECTION("beyond the end") {
    queue->submit({.kind = Kind::kRead, .tag = 0, .range = {65536, 4096}, .buffers = {&good, 1}});
    queue->submit(
        {.kind = Kind::kWrite, .tag = 1, .range = {~0ull - 511, 4096}, .buffers = {&good, 1}});
  }
  SECTION("memory that is not there") {
    queue->submit({.kind = Kind::kRead, .tag = 0, .range = {0, 4096}, .buffers = {&bad, 1}});
    queue->submit({.kind = Kind::kWrite, .tag = 1, .range = {0, 4096}, .buffers = {&bad, 1}});
  }
  SECTION("a file that somebody cut") {
    REQUIRE(::ftruncate(disk.fd(), 4096 + 512) == 0);
    queue->submit({.kind = Kind::kRead, .tag = 0, .range = {4096, 4096}, .buffers = {&good, 1}});
    queue->submit({.kind = Kind::kRead, .tag = 1, .range = {8192, 4096}, .buffers = {&good, 1}});
  }
  std::vector<std::byte> other(4096);
  const IoVec fine{other.data(), other.size()};
  queue->submit({.kind = Kind::kRead, .tag = 2, .range = {0, 4096}, .buffers = {&fine, 1}});
  const auto ended = finish(*queue, 3);
  CHECK(ended[0].error != 0);
  CHECK(ended[1].error != 0);
  CHECK(ended[2].error == 0);
  CHECK(ended[2].bytes == 4096);
}

TEST_CASE("a read that fails in the middle tells what it has", "[disk-queue][hostile]") {
  const EngineKind engine = any_engine();
  const Scratch disk(65536);
  const auto queue = make_queue(disk.raw(), engine);
  REQUIRE(::ftruncate(disk.fd(), 4096 + 512) == 0);
  std::vector<std::byte> data(4096);
  const IoVec list{data.data(), data.size()};
  const EndedRequest ended =
      run(*queue, {.kind = Kind::kRead, .range = {4096, 4096}, .buffers = {&list, 1}});
  CHECK(ended.error == EIO);
  CHECK(ended.bytes == 512);
}

TEST_CASE("a read-only disk refuses each kind of change", "[disk-queue][hostile]") {
  const EngineKind engine = any_engine();
  const Scratch disk(65536);
  const auto image = std::shared_ptr<Image>(*open_raw(disk.open({.writable = false}), {}));
  const auto queue = make_queue(image, engine);
  std::vector<std::byte> data = pattern(512, 5);
  const IoVec list{data.data(), data.size()};
  CHECK(run(*queue, {.kind = Kind::kWrite, .range = {0, 512}, .buffers = {&list, 1}}).error ==
        EROFS);
  CHECK(run(*queue, {.kind = Kind::kDiscard, .range = {0, 512}}).error == EROFS);
  CHECK(run(*queue, {.kind = Kind::kWriteZeroes, .range = {0, 512}}).error == EROFS);
  CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
  CHECK(run(*queue, {.kind = Kind::kRead, .range = {0, 512}, .buffers = {&list, 1}}).error == 0);
  CHECK(all_zero(data));
}

TEST_CASE("draining ends all that was begun", "[disk-queue]") {
  const EngineKind engine = any_engine();
  const Scratch disk(16 << 20);
  const auto queue = make_queue(disk.raw(), engine, 16);
  const bool kicked = GENERATE(true, false);
  std::vector<std::byte> data(1 << 20);
  const IoVec list{data.data(), data.size()};
  for (std::uint32_t i = 0; i < 16; ++i) {
    queue->submit({.kind = i % 2 == 0 ? Kind::kRead : Kind::kWrite,
                   .tag = i,
                   .range = {i * (1ull << 20), 1 << 20},
                   .buffers = {&list, 1}});
  }
  if (kicked) queue->kick();
  queue->drain();
  EndedRequest ended[20];
  CHECK(queue->reap(ended) == 16);
  CHECK(queue->reap(ended) == 0);
  CHECK_FALSE(queue->is_full());
  CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
}

TEST_CASE("pinned memory is used as other memory", "[disk-queue]") {
  const Scratch disk(1 << 20);
  std::vector<std::byte> ram(1 << 20);
  const IoVec region{ram.data(), ram.size()};
  const auto queue =
      *DiskQueue::create(disk.raw(), {.engine = any_engine(), .pinned_memory = {&region, 1}});
  if (queue->engine_kind() == EngineKind::kUring) CHECK(queue->has_pinned_memory());
  const std::vector<std::byte> data = pattern(8192, 6);
  std::copy(data.begin(), data.end(), ram.begin() + 4096);
  const IoVec inside{ram.data() + 4096, 8192};
  CHECK(run(*queue, {.kind = Kind::kWrite, .range = {0, 8192}, .buffers = {&inside, 1}}).error ==
        0);
  CHECK(disk.read(0, 8192) == data);
  std::vector<std::byte> outside(8192);
  const IoVec other{outside.data(), 8192};
  CHECK(run(*queue, {.kind = Kind::kRead, .range = {0, 8192}, .buffers = {&other, 1}}).error == 0);
  CHECK(outside == data);
  const IoVec target{ram.data() + 65536, 8192};
  CHECK(run(*queue, {.kind = Kind::kRead, .range = {0, 8192}, .buffers = {&target, 1}}).error == 0);
  CHECK(std::equal(data.begin(), data.end(), ram.begin() + 65536));
}

TEST_CASE("direct I/O works with any memory, and with any part of a read", "[disk-queue]") {
  const EngineKind engine = any_engine();
  const Scratch disk(1 << 20, "/var/tmp/vmm-block");
  auto file = ImageFile::open(disk.path(), {.direct = true});
  if (!file) {
    WARN("no direct I/O on this file system");
    return;
  }
  const std::uint32_t unit = file->alignment();
  CHECK(file->is_direct());
  CHECK(file->block_sizes().logical >= unit);
  const auto queue = make_queue(*open_raw(*std::move(file), {}), engine);
  const std::size_t bytes = GENERATE(std::size_t{65536}, std::size_t{512 * 1024});
  std::vector<std::byte> memory(bytes + 2 * 65536);
  void* aligned = memory.data();
  std::size_t space = memory.size();
  REQUIRE(std::align(65536, bytes, aligned, space) != nullptr);
  const std::size_t off = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{512});
  auto* const at = static_cast<std::byte*>(aligned) + off;
  const std::vector<std::byte> data = pattern(bytes, 7);
  std::copy(data.begin(), data.end(), at);
  const IoVec list[] = {{at, 512}, {at + 512, bytes - 512}};
  CHECK(run(*queue, {.kind = Kind::kWrite, .range = {65536, bytes}, .buffers = list}).error == 0);
  CHECK(disk.read(65536, bytes) == data);
  std::fill(at, at + bytes, std::byte{0});
  CHECK(run(*queue, {.kind = Kind::kRead, .range = {65536, bytes}, .buffers = list}).error == 0);
  CHECK(std::equal(data.begin(), data.end(), at));
  const IoVec part{at, 1024};
  CHECK(run(*queue, {.kind = Kind::kRead, .range = {65536 + 512, 1024}, .buffers = {&part, 1}})
            .error == 0);
  CHECK(std::equal(at, at + 1024, data.begin() + 512));
}

TEST_CASE("a guessed raw disk does not become another format", "[disk-queue][hostile]") {
  const EngineKind engine = any_engine();
  const Scratch disk(1 << 20);
  const bool guessed = GENERATE(true, false);
  const auto queue = make_queue(disk.raw({.guard_first_sector = guessed}), engine);
  std::vector<std::byte> data = pattern(8192, 8);
  const IoVec list[] = {{data.data(), 3}, {data.data() + 3, 8189}};
  CHECK(run(*queue, {.kind = Kind::kWrite, .range = {0, 8192}, .buffers = list}).error == 0);
  CHECK(disk.read(0, 8192) == data);
  const auto mark = GENERATE(as<std::string>(), "QFI\xfb", "conectix", "vhdxfile", "KDMV", "COWD",
                             "# Disk DescriptorFile\n");
  std::vector<std::byte> header = data;
  std::transform(mark.begin(), mark.end(), header.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  const IoVec cut_list[] = {{header.data(), 3}, {header.data() + 3, 8189}};
  const EndedRequest ended =
      run(*queue, {.kind = Kind::kWrite, .range = {0, 8192}, .buffers = cut_list});
  CHECK(ended.error == (guessed ? EPERM : 0));
  CHECK(disk.read(0, 8192) == (guessed ? data : header));
  // Elsewhere it is data like any other.
  CHECK(run(*queue, {.kind = Kind::kWrite, .range = {512, 8192}, .buffers = cut_list}).error == 0);
}

TEST_CASE("a depth out of range is refused", "[disk-queue]") {
  const Scratch disk(4096);
  const std::uint32_t depth = GENERATE(0u, DiskQueue::kMaxDepth + 1);
  CHECK_FALSE(DiskQueue::create(disk.raw(), {.depth = depth}));
}

}  // namespace
}  // namespace vmm::block
