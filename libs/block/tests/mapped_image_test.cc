// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What a disk queue makes of an image that answers in small parts and of all kinds.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "disk_rig.h"
#include "file_calls.h"

namespace vmm::block {
namespace {

using Kind = DiskRequest::Kind;
constexpr std::uint64_t kPiece = 1024;

/// Pieces of 1 KiB: the first is in the file's second half, backwards; the next reads as zeros
/// until it is written; the third is made up.
class PiecesImage final : public Image {
 public:
  PiecesImage(ImageFile file, std::uint64_t bytes) : file_(std::move(file)), bytes_(bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return bytes_; }
  [[nodiscard]] const ImageFile& file() const override { return file_; }

  Result<ReadPlan> map(ByteRange range, std::span<Extent> out) override {
    ++reads;
    std::size_t count = 0;
    while (range.bytes != 0 && count < out.size()) {
      out[count] = at(range);
      range.offset += out[count].bytes;
      range.bytes -= out[count++].bytes;
    }
    return ReadPlan{.count = count, .token = 7};
  }
  void end_read(std::uint64_t token) override {
    CHECK(token == 7);
    --reads;
  }
  Result<void> read_slow(std::uint64_t offset, std::span<std::byte> to) override {
    if (fail_slow) return fail(Error::os(EIO, "decompress"));
    for (std::byte& byte : to) byte = static_cast<std::byte>(offset++ / 7);
    return {};
  }
  Result<WritePlan> prepare_write(ByteRange range, std::span<Extent> out) override {
    WritePlan plan;
    while (range.bytes != 0 && plan.count < std::min<std::size_t>(out.size(), 3)) {
      Extent& extent = out[plan.count++] = at(range);
      extent.kind = Extent::Kind::kData;
      extent.fd = file_.fd();
      extent.file_offset = place(range.offset);
      plan.bytes += extent.bytes;
      range.offset += extent.bytes;
      range.bytes -= extent.bytes;
    }
    plan.token = ++tokens;
    open_tokens.insert(plan.token);
    return plan;
  }
  Result<void> finish_write(std::uint64_t token, bool written) override {
    CHECK(open_tokens.erase(token) == 1);
    if (!written) ++failed_writes;
    if (fail_finish) return fail(Error::os(ENOSPC, "metadata"));
    return {};
  }
  Result<std::optional<RangeWork>> discard(ByteRange /*range*/) override {
    return std::optional<RangeWork>();
  }
  Result<std::optional<RangeWork>> write_zeroes(ByteRange /*range*/, bool /*unmap*/) override {
    return fail(Error::os(EIO, "zeroes"));
  }
  Result<void> flush_metadata() override {
    CHECK(open_tokens.empty());
    ++flushes;
    return {};
  }
  Result<void> resize(std::uint64_t /*bytes*/) override {
    return fail(Error::os(ENOTSUP, "resize"));
  }

  int reads = 0;
  int flushes = 0;
  int failed_writes = 0;
  bool fail_slow = false;
  bool fail_finish = false;
  std::uint64_t tokens = 0;
  std::set<std::uint64_t> open_tokens;

 private:
  [[nodiscard]] std::uint64_t place(std::uint64_t offset) const {
    return bytes_ - kPiece - offset / kPiece * kPiece + offset % kPiece;
  }
  [[nodiscard]] Extent at(const ByteRange& range) const {
    constexpr Extent::Kind kKinds[] = {Extent::Kind::kData, Extent::Kind::kZero,
                                       Extent::Kind::kSlow};
    return {.kind = kKinds[range.offset / kPiece % 3],
            .zeros_past_end = true,
            .fd = file_.fd(),
            .file_offset = place(range.offset),
            .bytes = std::min(range.bytes, kPiece - range.offset % kPiece)};
  }

  ImageFile file_;
  std::uint64_t bytes_;
};

struct Rig {
  static constexpr std::uint64_t kBytes = 96 * kPiece;

  Scratch disk{kBytes};
  std::shared_ptr<PiecesImage> image = std::make_shared<PiecesImage>(disk.open(), kBytes);
  std::unique_ptr<DiskQueue> queue =
      *DiskQueue::create(image, {.engine = any_engine(), .depth = 4, .max_buffers = 64});
};

std::byte expected(const std::vector<std::byte>& file, std::uint64_t offset) {
  switch (offset / kPiece % 3) {
    case 0:
      return file[static_cast<std::size_t>(Rig::kBytes - kPiece - offset / kPiece * kPiece +
                                           offset % kPiece)];
    case 1:
      return std::byte{0};
    default:
      return static_cast<std::byte>(offset / 7);
  }
}

TEST_CASE("a read collects pieces of all kinds", "[disk-queue]") {
  Rig rig;
  const std::vector<std::byte> file = pattern(Rig::kBytes, 1);
  rig.disk.write(0, file);
  const ByteRange range = GENERATE(ByteRange{0, Rig::kBytes}, ByteRange{512, 512},
                                   ByteRange{1024, 3072}, ByteRange{1536, 40 * kPiece});
  std::vector<std::byte> data(range.bytes, std::byte{0x55});
  const IoVec list[] = {{data.data(), 100},
                        {data.data() + 100, 0},
                        {data.data() + 100, data.size() - 300},
                        {data.data() + data.size() - 200, 200}};
  const EndedRequest ended =
      run(*rig.queue, {.kind = Kind::kRead, .range = range, .buffers = list});
  CHECK(ended.error == 0);
  CHECK(ended.bytes == range.bytes);
  CHECK(rig.image->reads == 0);
  for (std::uint64_t i = 0; i < range.bytes; ++i) {
    if (data[i] != expected(file, range.offset + i)) FAIL("byte " << i);
  }
}

TEST_CASE("pieces beyond the end of the file are zeros where the image says so", "[disk-queue]") {
  Rig rig;
  const std::vector<std::byte> file = pattern(Rig::kBytes, 2);
  rig.disk.write(0, file);
  REQUIRE(::ftruncate(rig.disk.fd(), Rig::kBytes - 512) == 0);
  std::vector<std::byte> data(1024, std::byte{0x55});
  const IoVec list{data.data(), data.size()};
  CHECK(run(*rig.queue, {.kind = Kind::kRead, .range = {0, 1024}, .buffers = {&list, 1}}).error ==
        0);
  CHECK(std::equal(data.begin(), data.begin() + 512, file.end() - 1024));
  CHECK(std::all_of(data.begin() + 512, data.end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE("a write goes to each place, and is finished once it is there", "[disk-queue]") {
  Rig rig;
  std::vector<std::byte> data = pattern(Rig::kBytes, 3);
  const IoVec list[] = {{data.data(), 5000}, {data.data() + 5000, data.size() - 5000}};
  const bool durable = GENERATE(true, false);
  CHECK(run(*rig.queue,
            {.kind = Kind::kWrite, .durable = durable, .range = {0, Rig::kBytes}, .buffers = list})
            .error == 0);
  CHECK(rig.image->tokens == 32);
  CHECK(rig.image->open_tokens.empty());
  CHECK(rig.image->failed_writes == 0);
  CHECK(rig.image->flushes == (durable ? 1 : 0));
  const std::vector<std::byte> file = rig.disk.read(0, Rig::kBytes);
  for (std::uint64_t piece = 0; piece < 96; ++piece) {
    REQUIRE(std::equal(data.begin() + static_cast<std::ptrdiff_t>(piece * kPiece),
                       data.begin() + static_cast<std::ptrdiff_t>((piece + 1) * kPiece),
                       file.end() - static_cast<std::ptrdiff_t>((piece + 1) * kPiece)));
  }
}

/// Buffers of 256, 256 and 1536 bytes, with what nobody may touch around them.
class Arena {
 public:
  static constexpr std::byte kCanary{0x5a};
  static constexpr std::size_t kBytes = 2 * kPiece;

  explicit Arena(const std::vector<std::byte>& content) {
    const std::byte* from = content.data();
    for (const IoVec& buffer : list_) {
      std::memcpy(buffer.base, from, buffer.bytes);
      from += buffer.bytes;
    }
  }
  [[nodiscard]] std::span<const IoVec> list() const { return list_; }
  [[nodiscard]] std::vector<std::byte> content() const {
    std::vector<std::byte> all;
    for (const IoVec& buffer : list_) {
      const auto* const from = static_cast<const std::byte*>(buffer.base);
      all.insert(all.end(), from, from + buffer.bytes);
    }
    return all;
  }
  [[nodiscard]] bool is_whole() {
    for (const IoVec& buffer : list_) std::memset(buffer.base, 0x5a, buffer.bytes);
    return std::all_of(bytes_.begin(), bytes_.end(), [](std::byte b) { return b == kCanary; });
  }

 private:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(16 * kPiece, kCanary);
  std::array<IoVec, 3> list_ = {{{bytes_.data() + 1 * kPiece, 256},
                                 {bytes_.data() + 5 * kPiece, 256},
                                 {bytes_.data() + 9 * kPiece, 2 * kPiece - 512}}};
};

TEST_CASE("a short read of several pieces stays inside its buffers", "[disk-queue][hostile]") {
  Rig rig;
  const std::vector<std::byte> file = pattern(Rig::kBytes, 4);
  rig.disk.write(0, file);
  const std::size_t short_by = GENERATE(1000U, 924U, 768U, 700U, 512U, 100U);
  REQUIRE(::ftruncate(rig.disk.fd(), static_cast<off_t>(Rig::kBytes - short_by)) == 0);
  Arena arena(std::vector<std::byte>(Arena::kBytes, std::byte{0x55}));
  CHECK(run(*rig.queue, {.kind = Kind::kRead, .range = {0, Arena::kBytes}, .buffers = arena.list()})
            .error == 0);
  std::vector<std::byte> wanted(Arena::kBytes);
  std::copy(file.end() - kPiece, file.end() - static_cast<std::ptrdiff_t>(short_by),
            wanted.begin());
  CHECK(arena.content() == wanted);
  CHECK(arena.is_whole());
}

TEST_CASE("short writes of several pieces take the buffers' bytes only", "[disk-queue][hostile]") {
  Rig rig;
  rig.queue = *DiskQueue::create(rig.image, {.engine = EngineKind::kSync, .max_buffers = 64});
  const std::vector<std::byte> data = pattern(Arena::kBytes, 5);
  Arena arena(data);
  file_calls.most_written = GENERATE(24U, 100U, 256U, 300U, 700U);
  CHECK(
      run(*rig.queue, {.kind = Kind::kWrite, .range = {0, Arena::kBytes}, .buffers = arena.list()})
          .error == 0);
  file_calls.most_written = SIZE_MAX;
  CHECK(arena.content() == data);
  const std::vector<std::byte> file = rig.disk.read(Rig::kBytes - Arena::kBytes, Arena::kBytes);
  CHECK(std::equal(data.begin(), data.begin() + kPiece, file.begin() + kPiece));
  CHECK(std::equal(data.begin() + kPiece, data.end(), file.begin()));
}

TEST_CASE("what the image cannot do is the request's error", "[disk-queue][hostile]") {
  Rig rig;
  std::vector<std::byte> data(8 * kPiece);
  IoVec list{data.data(), data.size()};
  SECTION("a piece that cannot be read") {
    rig.image->fail_slow = true;
    const EndedRequest ended =
        run(*rig.queue, {.kind = Kind::kRead, .range = {0, data.size()}, .buffers = {&list, 1}});
    CHECK(ended.error == EIO);
    CHECK(ended.bytes == 2 * kPiece);
    CHECK(rig.image->reads == 0);
  }
  SECTION("metadata that cannot be written") {
    rig.image->fail_finish = true;
    CHECK(run(*rig.queue, {.kind = Kind::kWrite, .range = {0, 512}, .buffers = {&list, 1}}).error ==
          ENOSPC);
  }
  SECTION("data that cannot be written") {
    list.base = reinterpret_cast<void*>(4096);
    CHECK(run(*rig.queue, {.kind = Kind::kWrite, .range = {0, data.size()}, .buffers = {&list, 1}})
              .error == EFAULT);
    CHECK(rig.image->failed_writes == 1);
  }
  SECTION("zeroes") {
    CHECK(run(*rig.queue, {.kind = Kind::kWriteZeroes, .range = {0, 512}}).error == EIO);
  }
  CHECK(rig.image->open_tokens.empty());
  CHECK(run(*rig.queue, {.kind = Kind::kDiscard, .durable = true, .range = {0, 512}}).error == 0);
  CHECK(rig.image->flushes == 1);
}

TEST_CASE("draining finishes what was prepared", "[disk-queue]") {
  Rig rig;
  std::vector<std::byte> data(32 * kPiece);
  const IoVec list{data.data(), data.size()};
  for (std::uint32_t i = 0; i < 4; ++i) {
    rig.queue->submit({.kind = i % 2 == 0 ? Kind::kRead : Kind::kWrite,
                       .tag = i,
                       .range = {0, data.size()},
                       .buffers = {&list, 1}});
  }
  rig.queue->kick();
  rig.queue->drain();
  CHECK(rig.image->reads == 0);
  CHECK(rig.image->open_tokens.empty());
  EndedRequest ended[5];
  CHECK(rig.queue->reap(ended) == 4);
}

}  // namespace
}  // namespace vmm::block
